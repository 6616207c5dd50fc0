"""What Berth adds to JupyterHub: its configuration, authenticator, spawner, proxy and operator's API."""

__version__ = "0.1.0"
