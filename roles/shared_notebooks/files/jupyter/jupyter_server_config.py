"""Managed by Berth (role shared_notebooks): what jupyter_server_config.d/ enables is found here, beside this file.

Not by a PYTHONPATH, in which the user's kernels would find it as well.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
