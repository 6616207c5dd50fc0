"""Managed by Berth (role shared_notebooks): what jupyter_server_config.d/ enables is found here, beside this file.

Not by a PYTHONPATH, in which the user's kernels would find it as well.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

SUBVOLUME = 256
"""Number of every folder that is a subvolume of btrfs (docs/quota.md)."""

if Path.home().stat().st_ino == SUBVOLUME:
    # What somebody deletes because a home is full has to make room: the file browser shows no trash.
    c = get_config()  # type: ignore[name-defined] # noqa: F821 (given by what reads this file)
    c.FileContentsManager.delete_to_trash = False
