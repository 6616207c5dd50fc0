"""From settings to JupyterHub's configuration: all of it, in one readable place."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer

from berth_hub import authenticators, secrets
from berth_hub.homes import usage_of
from berth_hub.monitoring import requests_log
from berth_hub.options import configure_options
from berth_hub.proxy import BerthProxy
from berth_hub.settings import Settings
from berth_hub.spawner import BerthSpawner
from berth_hub.subdomains import configure_subdomains
from berth_hub.traces import labels

if TYPE_CHECKING:
    from jupyterhub.app import JupyterHub

OPERATOR = "berth-operator"
"""The service whose token the playbooks use."""

CULLER = "berth-idle-culler"

METRICS = "berth-metrics"
"""The service whose token Prometheus reads the hub's metrics with."""

POLL_SECONDS = 20
"""How often the hub looks whether a server is still there, give or take 10 %: within half a minute it knows."""

REQUEST_BYTES_MAX = 4 * 1024**2
"""The largest request that a hub gets is a list of accounts: ten thousand of them take 1 MB."""

REQUEST_SECONDS_MAX = 60


def configure(c: Any, settings: Settings) -> None:
    """Set every trait that Berth decides on.

    Args:
        c: the configuration object that `get_config()` returns.
        settings: what the site decided.
    """
    _bound_requests()
    _hub(c, settings)
    _proxy(c, settings)
    _accounts(c, settings)
    authenticators.configure(c, settings)
    _people(c, settings)
    _berths(c, settings)
    _services(c, settings)
    _monitoring(c, settings)
    configure_options(c, settings)
    configure_subdomains(c, settings)


def _bound_requests() -> None:
    """Bound what anybody may send before the hub knows who it is.

    JupyterHub has no setting for it, and takes tornado's defaults: 100 MB, held in memory, for as long as it takes.
    """
    HTTPServer.configure(
        None,
        max_body_size=REQUEST_BYTES_MAX,
        max_buffer_size=2 * REQUEST_BYTES_MAX,
        body_timeout=REQUEST_SECONDS_MAX,
    )


def _secret(settings: Settings, name: str) -> str:
    return (settings.secrets_directory / name).read_text().strip()


def _hub(c: Any, settings: Settings) -> None:
    hub: JupyterHub = c.JupyterHub
    hub.public_url = settings.public_url + settings.base_url
    hub.bind_url = settings.public_url + settings.base_url
    # Berths reach the hub at the address that the host has on their network; nobody else does.
    hub.hub_bind_url = settings.hub_url
    hub.hub_connect_url = settings.hub_url
    hub.db_url = f"sqlite:///{settings.state_directory / 'jupyterhub.sqlite'}"
    hub.cookie_secret = bytes.fromhex(_secret(settings, secrets.COOKIE_SECRET))
    # A restart of the hub costs nobody a kernel.
    hub.cleanup_servers = False
    hub.cleanup_proxy = False
    hub.authenticate_prometheus = True
    hub.template_paths = [str(Path(__file__).parent / "templates")]


def _proxy(c: Any, settings: Settings) -> None:
    c.JupyterHub.proxy_class = BerthProxy
    c.BerthProxy.should_start = False
    c.BerthProxy.enable_setup_dynamic_config = False
    c.BerthProxy.dynamic_config_file = str(settings.routes_file)
    c.BerthProxy.traefik_entrypoint = "public"
    c.BerthProxy.traefik_api_url = settings.traefik_api_url
    c.BerthProxy.traefik_api_username = secrets.TRAEFIK_USER
    c.BerthProxy.traefik_api_password = _secret(settings, secrets.TRAEFIK_PASSWORD)


def _accounts(c: Any, settings: Settings) -> None:
    accounts = settings.accounts
    c.Authenticator.admin_users = set(accounts.admins)
    c.Authenticator.delete_invalid_users = False
    c.BerthAuthenticator.enable_signup = False
    c.BerthAuthenticator.open_signup = False
    c.BerthAuthenticator.minimum_password_length = accounts.password_length_min
    c.BerthAuthenticator.check_common_password = True
    c.BerthAuthenticator.allowed_failed_logins = accounts.failed_logins_max
    c.BerthAuthenticator.seconds_before_next_try = accounts.lockout_seconds
    c.BerthAuthenticator.admin_password_file = str(settings.secrets_directory / secrets.ADMIN_PASSWORD)


def _people(c: Any, settings: Settings) -> None:
    # Not NativeAuthenticator's sign-up: berth_hub/signup.py.
    c.BerthAuthenticator.signup = settings.people.signup
    c.BerthAuthenticator.signup_waiting_max = settings.people.signup_waiting_max
    c.BerthSpawner.extra_create_kwargs = labels
    # Shows the links to the pages that come with accounts of the hub's own.
    own_accounts = settings.authentication.way.method == "native"
    c.JupyterHub.template_vars = {**c.JupyterHub.get("template_vars", {}), "people_pages": own_accounts}
    if settings.shows_usage:
        c.JupyterHub.template_vars["home_usage"] = partial(usage_of, settings.homes_socket)


def _berths(c: Any, settings: Settings) -> None:
    berth = settings.berth
    c.JupyterHub.spawner_class = BerthSpawner
    c.BerthSpawner.image = berth.image
    # The image is on the host since the converge: asking the engine at each spawn only costs time.
    c.BerthSpawner.pull_policy = "skip"
    c.BerthSpawner.network_name = berth.network
    c.BerthSpawner.use_internal_ip = True
    c.BerthSpawner.remove = True
    c.BerthSpawner.poll_interval = POLL_SECONDS
    c.BerthSpawner.homes_socket = str(settings.homes_socket)
    c.BerthSpawner.shared_directory = str(settings.shared_directory)
    c.BerthSpawner.home_in_berth = str(berth.home)
    c.BerthSpawner.default_url = berth.default_url
    c.BerthSpawner.notebook_dir = str(berth.home)
    c.BerthSpawner.environment = {
        **berth.environment,
        "BERTH_NOTEBOOKS": str(berth.home / berth.notebooks_folder),
        **_activity(settings),
    }
    # For how long a server takes the hub's word on who is logged in; JupyterHub's own five minutes outlast a log-out.
    c.BerthSpawner.args = ["--HubOAuth.cache_max_age=20"]
    c.BerthSpawner.start_timeout = berth.start_timeout_seconds
    c.BerthSpawner.mem_limit = berth.memory
    c.BerthSpawner.cpu_limit = berth.cpus
    c.BerthSpawner.extra_host_config = {
        # The spawner removes it: Docker 20.10, if told to, removes running ones when the engine restarts.
        "auto_remove": False,
        "pids_limit": berth.pids,
        # Swap would only make the limit a slower one.
        "memswap_limit": berth.memory,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        # Reaps what kernels and terminals leave behind.
        "init": True,
        "read_only": berth.read_only,
        "tmpfs": berth.scratch,
        **({"runtime": berth.runtime} if berth.runtime else {}),
    }


def _activity(settings: Settings) -> dict[str, str]:
    """How often servers tell the hub of their user's activity, where JupyterHub's five minutes are too seldom.

    What is told late looks idle: a server that is used must be heard several times before its time is over.
    """
    idle = settings.idle
    seconds = idle.after_seconds // 4
    looked_at = (idle.sleeps or idle.stops) and idle.after_seconds < 1200
    return {"JUPYTERHUB_ACTIVITY_INTERVAL": str(max(seconds, 1))} if looked_at else {}


def _services(c: Any, settings: Settings) -> None:
    services: list[dict[str, Any]] = [{"name": OPERATOR, "api_token": _secret(settings, secrets.OPERATOR_TOKEN)}]
    roles = [
        {
            "name": OPERATOR,
            "services": [OPERATOR],
            "scopes": [
                "admin:users",
                "admin:servers",
                "list:users",
                "list:services",
                "read:hub",
                "read:metrics",
                "proxy",
                "tokens",
            ],
        }
    ]
    if settings.idle.sleeps or settings.idle.stops:
        _idler(settings, services, roles)
    c.JupyterHub.services = services
    c.JupyterHub.load_roles = roles


def _idler(settings: Settings, services: list[dict[str, Any]], roles: list[dict[str, Any]]) -> None:
    """Idle servers fall asleep, and their sleep ends some time; or they are stopped."""
    idle = settings.idle
    options = (
        ("way", idle.way),
        ("after", idle.after_seconds),
        ("stop-after", idle.sleep_seconds),
        ("every", idle.check_every_seconds),
        ("memory-min", idle.memory_min_percent),
        ("meminfo", idle.meminfo),
    )
    command = [sys.executable, "-m", "berth_hub.idler", *(f"--{name}={value}" for name, value in options)]
    services.append({"name": CULLER, "command": command, "environment": {"PYTHONPATH": str(Path(__file__).parents[1])}})
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    roles.append({"name": CULLER, "services": [CULLER], "scopes": scopes})


def _monitoring(c: Any, settings: Settings) -> None:
    """The status page, what it remembers, and Prometheus's access; after `_services`, whose lists grow here."""
    failed_starts = settings.state_directory / "failed_starts.json"
    c.BerthSpawner.failed_starts_file = str(failed_starts)
    c.StatusPage.failed_starts_file = str(failed_starts)
    c.StatusPage.monitoring = settings.monitoring
    c.JupyterHub.tornado_settings = {"log_function": requests_log.log_request}
    if settings.monitoring.enabled:
        c.JupyterHub.services.append({"name": METRICS, "api_token": _secret(settings, secrets.METRICS_TOKEN)})
        c.JupyterHub.load_roles.append({"name": METRICS, "services": [METRICS], "scopes": ["read:metrics"]})
