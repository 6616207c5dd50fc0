"""From the file that Ansible renders to what JupyterHub, its spawner and its authenticator really have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from berth_hub.auth import BerthAuthenticator
from berth_hub.authenticators.guarded import Guarded
from berth_hub.authenticators.password import Native
from berth_hub.config import configure
from berth_hub.monitoring.page import StatusPage
from berth_hub.proxy import BerthProxy
from berth_hub.settings import load
from berth_hub.spawner import BerthSpawner
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from traitlets.config import Config

from tests.unit.hub.conftest import write_settings

if TYPE_CHECKING:
    from pathlib import Path

CLASSES: dict[str, Any] = {
    "JupyterHub": JupyterHub,
    "Authenticator": Authenticator,
    "BerthAuthenticator": BerthAuthenticator,
    "Guarded": Guarded,
    "BerthProxy": BerthProxy,
    "BerthSpawner": BerthSpawner,
    "StatusPage": StatusPage,
}
SECRETS = {
    "cookie_secret": "ab" * 32,
    "operator_token": "operator's token",
    "traefik_password": "Traefik's password",
    "admin_password": "the admin's password",
}


def configured(directory: Path, **changes: Any) -> Config:
    for name, value in SECRETS.items():
        (directory / name).write_text(value + "\n")
    path = write_settings(
        directory / "hub.json", secrets_directory=str(directory), state_directory=str(directory), **changes
    )
    c = Config()
    configure(c, load(path))
    return c


@pytest.fixture
def c(tmp_path: Path) -> Config:
    return configured(tmp_path)


def spawner(c: Config) -> BerthSpawner:
    return BerthSpawner(config=c, user=SimpleNamespace(name="alice"), orm_spawner=SimpleNamespace(name="", server=None))


def test_every_setting_is_one_that_exists(c: Config) -> None:
    """JupyterHub only warns of a misspelt one, and goes on without it."""
    assert set(c) == set(CLASSES)
    for name, section in c.items():
        traits = CLASSES[name].class_traits(config=True)
        assert set(section) <= set(traits), name


def test_berths_are_confined(c: Config) -> None:
    one = spawner(c)
    assert one.mem_limit == 2 * 1024**3
    assert one.cpu_limit == 1.5
    assert one.extra_host_config == {
        "pids_limit": 512,
        "memswap_limit": 2 * 1024**3,
        "auto_remove": False,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "read_only": True,
        "tmpfs": dict.fromkeys(("/tmp", "/var/tmp"), "rw,nosuid,nodev,exec,mode=1777,size=1073741824"),  # noqa: S108 (not ours)
    }


def test_berths_may_have_a_runtime_of_their_own(tmp_path: Path) -> None:
    assert spawner(configured(tmp_path, berth__runtime="crun")).extra_host_config["runtime"] == "crun"


def test_a_berth_may_be_left_writable(tmp_path: Path) -> None:
    one = spawner(configured(tmp_path, berth__read_only=False))
    assert (one.extra_host_config["read_only"], one.extra_host_config["tmpfs"]) == (False, {})


def test_berths_are_removed_when_they_stop_and_nothing_asks_the_engine_needlessly(c: Config) -> None:
    one = spawner(c)
    assert one.remove is True
    assert one.pull_policy == "skip"
    assert (one.image, one.network_name, one.use_internal_ip) == ("berth/notebook:1", "berth", True)


def test_berths_start_in_their_home_with_the_sites_environment(c: Config) -> None:
    one = spawner(c)
    assert (one.notebook_dir, one.default_url, one.start_timeout) == ("/home/jovyan", "/lab", 60)
    assert one.environment == {"TZ": "Europe/Vienna", "BERTH_NOTEBOOKS": "/home/jovyan/notebooks"}


def test_a_restart_of_the_hub_costs_nobody_a_server(c: Config) -> None:
    hub = JupyterHub(config=c)
    assert (hub.cleanup_servers, hub.cleanup_proxy) == (False, False)
    assert hub.proxy_class is BerthProxy
    assert c.BerthProxy.should_start is False


def test_the_hub_listens_for_berths_only_and_says_where_it_is(tmp_path: Path) -> None:
    hub = JupyterHub(config=configured(tmp_path, base_url="/jupyter/"))
    assert (hub.hub_bind_url, hub.hub_connect_url) == ("http://172.30.0.1:8081", "http://172.30.0.1:8081")
    assert hub.public_url == "https://hub.example.org/jupyter/"
    assert hub.base_url == "/jupyter/"
    assert hub.db_url == f"sqlite:///{tmp_path}/jupyterhub.sqlite"


def test_secrets_come_from_their_files(c: Config, tmp_path: Path) -> None:
    assert c.JupyterHub.cookie_secret == bytes.fromhex("ab" * 32)
    assert c.BerthProxy.traefik_api_password == "Traefik's password"
    assert c.JupyterHub.services[0]["api_token"] == "operator's token"
    assert c.BerthAuthenticator.admin_password_file == str(tmp_path / "admin_password")


def test_accounts_are_made_by_admins_only_and_guessing_is_limited(c: Config) -> None:
    assert c.JupyterHub.authenticator_class is Native
    settings = c.BerthAuthenticator
    assert (settings.enable_signup, settings.open_signup) == (False, False)
    assert (settings.minimum_password_length, settings.check_common_password) == (8, True)
    assert (settings.allowed_failed_logins, settings.seconds_before_next_try) == (3, 600)
    assert c.Authenticator.admin_users == {"admin"}
    assert c.Authenticator.delete_invalid_users is False


def test_idle_servers_are_stopped_and_users_are_not_deleted(c: Config) -> None:
    culler = c.JupyterHub.services[1]
    assert culler["command"][1:] == [
        "-m",
        "berth_hub.idler",
        "--way=stop",
        "--after=3600",
        "--stop-after=0",
        "--every=60",
        "--memory-min=0",
        "--meminfo=/proc/meminfo",
    ]
    role = c.JupyterHub.load_roles[1]
    assert role["services"] == [culler["name"]]
    assert "delete:servers" in role["scopes"]
    assert not [scope for scope in role["scopes"] if scope.startswith("admin:")]


def test_idle_servers_fall_asleep_where_the_site_says_so(tmp_path: Path) -> None:
    c = configured(tmp_path, idle__way="sleep", idle__sleep_seconds=7200, idle__memory_min_percent=7)
    idler = c.JupyterHub.services[1]
    assert idler["command"][1:] == [
        "-m",
        "berth_hub.idler",
        "--way=sleep",
        "--after=3600",
        "--stop-after=7200",
        "--every=60",
        "--memory-min=7",
        "--meminfo=/proc/meminfo",
    ]
    (role,) = (role for role in c.JupyterHub.load_roles if role["services"] == [idler["name"]])
    assert not [scope for scope in role["scopes"] if scope.startswith("admin:")]


@pytest.mark.parametrize("settings", [{"idle__after_seconds": 0}, {"idle__way": "never"}])
@pytest.mark.parametrize("way", ["stop", "sleep"])
def test_without_a_limit_nothing_is_stopped(tmp_path: Path, way: str, settings: dict[str, Any]) -> None:
    c = configured(tmp_path, **{"idle__way": way, **settings})
    assert [service["name"] for service in c.JupyterHub.services] == ["berth-operator"]
    assert [role["name"] for role in c.JupyterHub.load_roles] == ["berth-operator"]
