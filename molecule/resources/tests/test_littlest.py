"""What the integration suite of The Littlest JupyterHub asks, where no other check does: docs/testing.md lists all."""

import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hub_client import HubClient
from testinfra.host import Host

InBerth = Callable[[str, str], Any]

OURS = "/opt/berth /etc/berth /var/lib/berth /srv/berth /usr/local/sbin/berth-*"

STATE = {
    "nobody": (),
    "berth": ("/var/lib/berth/hub", "/var/lib/berth/routes"),
    "berth-proxy": ("/var/lib/berth/proxy", "/var/lib/berth/routes"),
}
"""Who may write where."""

NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"


@pytest.mark.parametrize("user", STATE)
def test_nothing_of_ours_is_writable_but_its_users_own_state(host: Host, user: str) -> None:
    who = NOBODY if user == "nobody" else f"setpriv --reuid={user} --regid={user} --init-groups"
    # Symbolic links have no permissions of their own; what they lead to is looked at where it stands.
    found = host.run(f"{who} find {OURS} -not -type l -writable 2>/dev/null").stdout.splitlines()
    assert [path for path in found if not path.startswith(STATE[user])] == []


def test_state_is_closed_to_users_of_the_host(host: Host) -> None:
    for path in ("/var/lib/berth/hub", "/etc/berth/secrets", "/srv/berth/homes/alice"):
        assert host.run(f"{NOBODY} ls {path}").failed, path


def test_state_is_not_there_in_a_berth(people: tuple[str, str], in_berth: InBerth) -> None:
    assert in_berth("alice", "grep -E 'berth/(hub|secrets|routes)|docker.sock' /proc/self/mounts").stdout == ""
    mounted = in_berth("alice", "awk '$2 ~ \"^/(home|opt|srv|var/lib/berth)\" {print $2}' /proc/self/mounts").stdout
    assert set(mounted.split()) == {"/home/jovyan", "/opt/berth/shared"}


def test_nothing_is_writable_for_all_in_a_berth(people: tuple[str, str], in_berth: InBerth) -> None:
    assert in_berth("alice", "find /opt/jupyter /usr /etc -not -type l -writable 2>/dev/null | head").stdout == ""


def test_pip_without_user_does_not_reach_the_shared_environment(people: tuple[str, str], in_berth: InBerth) -> None:
    done = in_berth(
        "bob", "pip install --quiet --no-deps flit-core==3.12.0; python -c 'import flit_core as f; print(f.__file__)'"
    )
    assert done.stdout.startswith("/home/jovyan/.local/") or done.rc != 0
    assert in_berth("alice", "python -c 'import flit_core'").failed


def test_the_admin_is_one(hub: HubClient) -> None:
    admin = hub.api("GET", "/users/admin")
    assert admin["admin"] is True
    assert "admin" in admin["roles"]


def test_a_name_of_64_characters_works(hub: HubClient, in_berth: InBerth) -> None:
    name = "u" * 64
    hub.add_users({"name": name, "password": "a-long-enough-password"})
    try:
        hub.start(name)
        code = "import os; print(os.environ['JUPYTERHUB_USER'])"
        assert hub.execute(name, hub.new_kernel(name), code).strip() == name
    finally:
        hub.stop(name)
        hub.add_users({"name": name, "state": "absent"})


def test_extensions_are_there_and_enabled(hub: HubClient, people: tuple[str, str], in_berth: InBerth) -> None:
    lab = in_berth("alice", "jupyter labextension list 2>&1").stdout.splitlines()
    assert any("@jupyter-widgets/jupyterlab-manager" in line and "enabled" in line and "OK" in line for line in lab)
    server = in_berth("alice", "jupyter server extension list 2>&1").stdout.splitlines()
    for extension in ("nbgitpuller", "jupyterlab", "notebook"):
        assert any(extension in line and "enabled" in line for line in server), extension
    # The hub's is a part of JupyterLab, at work where the page knows of a hub.
    assert '"hubPrefix": "/hub/"' in hub.as_user("alice", "GET", "/lab").text


def test_the_served_certificate_is_that_of_the_host(host: Host, hub: HubClient) -> None:
    where = urlsplit(hub.url)
    assert where.hostname is not None
    with (
        socket.create_connection((where.hostname, where.port or 443), timeout=60) as raw,
        ssl.create_default_context(cafile=hub.ca).wrap_socket(raw, server_hostname=where.hostname) as connection,
    ):
        served = connection.getpeercert(binary_form=True)
    assert served is not None
    stored = host.file("/etc/berth/tls/hub.crt").content_string
    end = "-----END CERTIFICATE-----"
    assert served == ssl.PEM_cert_to_DER_cert(stored[: stored.index(end) + len(end)])
