"""JupyterHub's configuration. Managed by Berth.

The site's values are in hub.json beside it, their meaning in berth_hub/config.py; fragments of its own in
jupyterhub_config.d.
"""

from pathlib import Path

from berth_hub.config import configure
from berth_hub.database import look_after
from berth_hub.fragments import load_fragments
from berth_hub.settings import load

c = get_config()  # type: ignore[name-defined] # noqa: F821 (JupyterHub defines it)
configure(c, load(Path("/etc/berth/hub.json")))
load_fragments(c, Path("/etc/berth/jupyterhub_config.d"))
look_after(c.JupyterHub.db_url)
