"""JupyterHub's configuration. Managed by Berth.

The site's values are in hub.json beside it, their meaning in berth_hub/config.py.
"""

from pathlib import Path

from berth_hub.config import configure
from berth_hub.settings import load

configure(get_config(), load(Path("/etc/berth/hub.json")))  # type: ignore[name-defined] # noqa: F821 (JupyterHub defines it)
