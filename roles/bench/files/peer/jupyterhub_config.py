"""A JupyterHub as its and DockerSpawner's own pages set it up: everything that is not an address is a default."""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821 (JupyterHub gives it)
gateway = os.environ["PEER_GATEWAY"]
c.JupyterHub.bind_url = "http://127.0.0.1:8700"
c.JupyterHub.hub_ip = gateway
c.JupyterHub.hub_port = 8701
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:8702"
c.ConfigurableHTTPProxy.command = [os.environ["PEER_PROXY"]]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = os.environ["PEER_IMAGE"]
c.JupyterHub.services = [{"name": "bench", "api_token": os.environ["PEER_TOKEN"]}]
c.JupyterHub.load_roles = [
    {
        "name": "bench",
        "services": ["bench"],
        "scopes": ["admin:users", "admin:servers", "tokens", "list:users", "read:hub"],
    }
]
