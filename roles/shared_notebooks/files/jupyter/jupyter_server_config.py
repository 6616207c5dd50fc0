"""Managed by Berth (role shared_notebooks): what jupyter_server_config.d/ enables is found here, beside this file.

Not by a PYTHONPATH, in which the user's kernels would find it as well.
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

# By what starts the berth, where a home may have a limit (docs/quota.md).
if os.environ.get("BERTH_WITHIN_QUOTA"):
    # What somebody deletes because a home is full has to make room: the file browser shows no trash.
    c = get_config()  # type: ignore[name-defined] # noqa: F821 (given by what reads this file)
    c.FileContentsManager.delete_to_trash = False
