"""The hub as it is reached from outside."""

import os
import socket
import ssl
from urllib.parse import urlsplit

import pytest
import requests
from hub_client import HubClient
from testinfra.host import Host


def test_health_and_version(hub: HubClient) -> None:
    assert hub.healthy()
    assert hub.api("GET", "/")["version"] == "6.1.1"


def test_plain_http_is_sent_to_https(hub: HubClient) -> None:
    address = f"http://localhost:{os.environ['BERTH_DEMO_HTTP_PORT']}/hub/login"
    answer = requests.get(address, allow_redirects=False, timeout=10)
    assert answer.status_code in (301, 308)
    assert answer.headers["Location"] == f"{hub.url}/hub/login"


def test_headers(hub: HubClient) -> None:
    headers = hub.session.get(f"{hub.url}/hub/login", timeout=10).headers
    # With a CA of the host's own, a browser that insists on HTTPS would be locked out by the next CA.
    assert "Strict-Transport-Security" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors" in headers["Content-Security-Policy"]
    assert "Server" not in headers
    assert "X-JupyterHub-Version" not in headers


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(hub: HubClient) -> None:
    context = ssl.create_default_context(cafile=hub.ca)
    port = urlsplit(hub.url).port
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as new,
    ):
        assert new.version() in ("TLSv1.2", "TLSv1.3")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        try:
            with old.wrap_socket(raw):
                raise AssertionError("TLS 1.1 was accepted")
        except ssl.SSLError:
            pass


def test_metrics_need_permission(hub: HubClient) -> None:
    assert hub.session.get(f"{hub.url}/hub/metrics", timeout=10).status_code == requests.codes.forbidden
    answer = hub.session.get(f"{hub.url}/hub/metrics", headers=hub.operator, timeout=10)
    assert "jupyterhub_total_users" in answer.text


def test_nobody_signs_up(hub: HubClient) -> None:
    assert hub.session.get(f"{hub.url}/hub/signup", timeout=10).status_code == requests.codes.not_found


def test_code_runs_in_a_kernel(hub: HubClient, people: tuple[str, str]) -> None:
    alice, bob = people
    mine, theirs = hub.new_kernel(alice), hub.new_kernel(bob)
    hub.execute(alice, mine, "mine = 'of alice'")
    assert hub.execute(alice, mine, "print(mine)").strip() == "of alice"
    assert hub.execute(bob, theirs, "print('mine' in globals())").strip() == "False"


def test_nobody_uses_anothers_server(hub: HubClient, people: tuple[str, str]) -> None:
    alice, bob = people
    headers = {"Authorization": f"token {hub.token(alice)}"}
    answer = hub.session.get(f"{hub.url}/user/{bob}/api/contents", headers=headers, timeout=10)
    assert answer.status_code == requests.codes.forbidden


def test_idle_servers_are_looked_for(host: Host) -> None:
    assert "berth_hub.idler" in host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
