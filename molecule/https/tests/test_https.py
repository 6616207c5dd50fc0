"""One host through the four ways to HTTPS, as an operator changes from one to the next. The order matters."""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import websocket
import yaml
from certificates import Authority, pem, write_pair
from converging import PROJECT, assert_converges_to_nothing, converge, refusal
from cryptography import x509
from hub_client import HubClient, wait_until
from testinfra.host import Host

NAME = "hub.berth.test"
HTTPS, HTTP = os.environ["BERTH_DEMO_HTTPS_PORT"], os.environ["BERTH_DEMO_HTTP_PORT"]
FOLDER = PROJECT / ".berth" / os.environ["BERTH_DEMO_NAME"]
URL = f"https://{NAME}:{HTTPS}"
BASE = "/jupyter/"
TAGS = ["jupyterhub", "proxy"]
ACME = yaml.safe_load((Path(__file__).resolve().parents[1] / "vars" / "main.yml").read_text())
ACME_HTTP = {**ACME, "proxy_acme_challenge": "http", "proxy_acme_directory": "https://localhost:14001/dir"}
OFF = {"proxy_public_url": URL, "proxy_tls": "off", "proxy_trusted_fronts": ["127.0.0.1"]}
ALICE = {"name": "alice", "password": "a-long-enough-password"}


@pytest.fixture(autouse=True, scope="module")
def name_is_known() -> Iterator[None]:
    """What DNS would say."""
    real = socket.getaddrinfo

    def here(host: Any, *arguments: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host == NAME else host, *arguments, **more)

    socket.getaddrinfo = here
    yield
    socket.getaddrinfo = real


def served(port: str = HTTPS) -> x509.Certificate:
    """The certificate that whoever asks for the name gets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", int(port)), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=NAME) as connection,
    ):
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


def client(host: Host, ca: Path, url: str = URL) -> HubClient:
    token = host.check_output("cat /etc/berth/secrets/operator_token")
    return HubClient(url=url.rstrip("/"), ca=ca, operator_token=token)


def main_pid(host: Host) -> str:
    pid: str = host.check_output("systemctl show --property=MainPID --value berth-proxy.service")
    return pid


class Kernel:
    """A kernel over one websocket that stays open."""

    def __init__(self, hub: HubClient, user: str) -> None:
        hub.start(user)
        self.user, kernel = user, hub.new_kernel(user)
        address = f"{hub.url.replace('http', 'ws', 1)}/user/{user}/api/kernels/{kernel}/channels"
        self.socket = websocket.create_connection(
            address,
            header=[f"Authorization: token {hub.token(user)}"],
            sslopt={"ca_certs": hub.ca},
            timeout=120,
        )

    def run(self, code: str) -> str:
        message = uuid.uuid4().hex
        header = {"msg_id": message, "msg_type": "execute_request", "username": self.user, "session": message}
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        request = {"header": {**header, "version": "5.3"}, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps({**request, "channel": "shell"}))
        printed = ""
        while True:
            reply = json.loads(self.socket.recv())
            if reply["parent_header"].get("msg_id") != message:
                continue
            if reply["msg_type"] == "stream":
                printed += reply["content"]["text"]
            elif reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                return printed.strip()


def pebble_ca(host: Host, management_port: int) -> Path:
    """The CA that an ACME server made when it started."""
    # Not checked: it is on the host itself, and what comes is checked by everything that follows.
    code = (
        "import ssl, sys, urllib.request as r; c = ssl.create_default_context(); c.check_hostname = False; "
        "c.verify_mode = ssl.CERT_NONE; "
        "o = r.build_opener(r.ProxyHandler({}), r.HTTPSHandler(context=c)); "
        "print(o.open(f'https://127.0.0.1:{sys.argv[1]}/roots/0').read().decode())"
    )
    path = FOLDER / f"pebble-{management_port}.crt"
    path.write_text(host.check_output("python3 -c %s %s", code, str(management_port)))
    return path


@pytest.fixture(scope="module")
def acme_hub(host: Host) -> HubClient:
    """The host as it was converged: by an ACME server that cannot try plain HTTP."""
    hub = client(host, pebble_ca(host, 15000))
    wait_until(hub.healthy, 120)
    hub.add_users(ALICE)
    return hub


def test_acme_server_gave_the_certificate(host: Host, acme_hub: HubClient) -> None:
    assert acme_hub.healthy()  # the client checks name and CA
    assert "Pebble" in served().issuer.rfc4514_string()
    headers = acme_hub.session.get(f"{URL}/hub/login", timeout=30).headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"


def test_acme_storage_is_the_proxys_alone(host: Host) -> None:
    for path in host.check_output("ls /var/lib/berth/proxy/acme-*.json").splitlines():
        file = host.file(path)
        assert (file.user, file.mode) == ("berth-proxy", 0o600)
    assert "PRIVATE" not in host.check_output("journalctl --unit=berth-proxy --no-pager")


def test_renewal_cuts_nobodys_websocket(host: Host, acme_hub: HubClient) -> None:
    before, pid = served(), main_pid(host)
    kernel = Kernel(acme_hub, "alice")
    assert kernel.run("kept = 42; print('ready')") == "ready"
    wait_until(lambda: served().serial_number != before.serial_number, seconds=300, every=1)
    assert kernel.run("print(kept)") == "42"
    kernel.socket.close()
    assert served().not_valid_before_utc >= before.not_valid_before_utc
    assert main_pid(host) == pid


@pytest.fixture(scope="module")
def http_hub(host: Host, acme_hub: HubClient) -> HubClient:
    """The host, now with an ACME server that cannot try anything but plain HTTP."""
    acme_hub.stop("alice")
    converge(None, ACME_HTTP, TAGS)
    hub = client(host, pebble_ca(host, 15001))
    wait_until(hub.healthy, 120)
    return hub


def test_certificate_by_plain_http_on_the_port_that_leads_to_https(http_hub: HubClient) -> None:
    assert http_hub.healthy()  # with the second server's CA
    assert "Pebble" in served().issuer.rfc4514_string()
    for path in ("/hub/login", "/.well-known/acme-challenge/x"):
        answer = requests.get(f"http://{NAME}:{HTTP}{path}", allow_redirects=False, timeout=30)
        assert "Location" not in answer.headers if "acme" in path else answer.headers["Location"] == URL + path


def test_with_an_acme_server_a_converge_again_changes_nothing(http_hub: HubClient) -> None:
    assert_converges_to_nothing(None, ACME_HTTP, TAGS)
    assert_converges_to_nothing(None, ACME_HTTP, ["proxy"], check=True)
    assert http_hub.healthy()


class Site:
    """What a site has: a CA's certificate for the hub, and Traefik configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        self.folder = folder
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(pem(self.authority.certificate))
        self.certificate, self.key = write_pair(folder, self.authority, NAME)
        self.extra = folder / "traefik"
        self.extra.mkdir()
        self.greeting = self.extra / "hello.yml"
        self.greet("hello")

    def greet(self, path: str) -> None:
        self.greeting.write_text(f"""
http:
  routers:
    hello: {{rule: Path(`/{path}`), service: noop@internal, entryPoints: [public], middlewares: [hello]}}
  middlewares:
    hello: {{redirectRegex: {{regex: ^.*$, replacement: "https://example.org/{path}"}}}}
""")

    @property
    def variables(self) -> dict[str, Any]:
        return {
            "proxy_public_url": URL,
            "proxy_tls": "own",
            "proxy_certificate_file": str(self.certificate),
            "proxy_key_file": str(self.key),
            "proxy_extra_config": str(self.extra),
            "jupyterhub_base_url": BASE,
        }

    @contextmanager
    def key_in_vault(self) -> Iterator[dict[str, str]]:
        """Within it the key's file is encrypted, and ansible finds the password by what it gives."""
        plain, password = self.key.read_bytes(), self.folder / "vault-password"
        password.write_text("a password of the vault")
        vault = {"ANSIBLE_VAULT_PASSWORD_FILE": str(password)}
        program = Path(sys.executable).with_name("ansible-vault")
        subprocess.run([program, "encrypt", self.key], env={**os.environ, **vault}, check=True, capture_output=True)
        assert b"$ANSIBLE_VAULT" in self.key.read_bytes()
        try:
            yield vault
        finally:
            self.key.write_bytes(plain)

    def first(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self.certificate.read_bytes())[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def own_hub(host: Host, http_hub: HubClient, site: Site) -> HubClient:
    """The host, now with the site's certificate and below a path."""
    assert http_hub.healthy()
    converge(None, site.variables, TAGS)
    hub = client(host, site.ca, URL + BASE)
    wait_until(hub.healthy, 120)
    return hub


def test_own_certificate_is_the_one_served(own_hub: HubClient, site: Site) -> None:
    assert served() == site.first()
    assert own_hub.healthy()


def test_everything_works_below_a_path(own_hub: HubClient) -> None:
    answer = own_hub.session.get(f"{URL}/", timeout=30, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, URL + BASE)
    page = own_hub.session.get(f"{URL}/", timeout=30)
    assert page.ok
    assert urlsplit(page.url).path == f"{BASE}hub/login"
    for address in set(re.findall(r'(?:href|src)="(/[^"]+\.(?:css|js|png|svg)[^"]*)"', page.text)):
        assert address.startswith(BASE)
        assert own_hub.session.get(URL + address, timeout=30).ok, address
    assert own_hub.api("GET", "/users/alice")["name"] == "alice"
    kernel = Kernel(own_hub, "alice")
    assert kernel.run("print(6 * 7)") == "42"
    kernel.socket.close()
    own_hub.stop("alice")


def test_plain_http_is_sent_to_https_with_path_and_question(own_hub: HubClient) -> None:
    answer = requests.get(f"http://{NAME}:{HTTP}{BASE}hub/login?next=a", allow_redirects=False, timeout=30)
    assert answer.status_code in (301, 308)
    assert answer.headers["Location"] == f"{URL}{BASE}hub/login?next=a"


def test_configuration_of_the_site_is_read(own_hub: HubClient) -> None:
    answer = own_hub.session.get(f"{URL}/hello", timeout=30, allow_redirects=False)
    assert answer.headers["Location"] == "https://example.org/hello"


def test_mistake_is_refused_and_the_old_certificate_stays(own_hub: HubClient, site: Site) -> None:
    before = site.first()
    _, other_key = write_pair(site.folder / "other", site.authority, NAME)
    broken = site.extra / "broken.yml"
    broken.write_text("http: {")
    try:
        said = refusal(None, {**site.variables, "proxy_key_file": str(other_key), "jupyterhub_subdomains": True}, TAGS)
    finally:
        broken.unlink()
    assert f"proxy_key_file: {other_key} does not match the certificate in proxy_certificate_file" in said
    assert f"does not cover *.{NAME}, the names of users' servers, but {NAME}" in said
    assert f"proxy_extra_config: {broken}: is not YAML" in said
    assert served() == before


def test_key_is_the_proxys_alone(host: Host, own_hub: HubClient, site: Site) -> None:
    (path,) = host.check_output("ls /etc/berth/tls/own-*.key").splitlines()
    _assert_key(host, path, site)


def _assert_key(host: Host, path: str, site: Site) -> None:
    key = host.file(path)
    assert (key.user, key.group, key.mode) == ("root", "berth-proxy", 0o640)
    assert key.content == site.key.read_bytes()
    for user, may in (("berth-proxy", True), ("berth", False), ("nobody", False)):
        assert host.run("runuser -u %s -- cat %s", user, path).succeeded is may, user


def test_new_files_are_served_without_a_restart(host: Host, own_hub: HubClient, site: Site) -> None:
    """The new key is in a vault."""
    before, pid = served(), main_pid(host)
    write_pair(site.folder, site.authority, NAME)
    site.greet("hello-again")
    with site.key_in_vault() as vault:
        done = converge(vault, site.variables, ["proxy"])
        assert_converges_to_nothing(vault, site.variables, ["proxy"], check=True)
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    assert served() == site.first() != before
    assert main_pid(host) == pid
    certificate, key = host.check_output("ls /etc/berth/tls/own-*").splitlines()
    assert host.file(certificate).content == site.certificate.read_bytes()
    _assert_key(host, key, site)
    answer = own_hub.session.get(f"{URL}/hello-again", timeout=30, allow_redirects=False)
    assert answer.headers["Location"] == "https://example.org/hello-again"


@pytest.fixture(scope="module")
def front(host: Host, site: Site) -> HubClient:
    """The host behind the nginx of docs/https.md."""
    converge(None, OFF, TAGS)
    (snippet,) = re.findall(r"```nginx\n(.*?)```", (PROJECT / "docs/https.md").read_text(), re.DOTALL)
    for documented, here in (
        ("listen 443", f"listen {HTTPS}"),
        ("127.0.0.1:8000", f"127.0.0.1:{HTTP}"),
        ("hub.example.org;", f"{NAME};"),
        ("/etc/ssl/hub.example.org", "/etc/nginx/hub"),
    ):
        assert documented in snippet
        snippet = snippet.replace(documented, here)
    for path, content in (
        ("/etc/nginx/hub.crt", site.certificate.read_text()),
        ("/etc/nginx/hub.key", site.key.read_text()),
        ("/etc/nginx/sites-enabled/default", snippet),
    ):
        host.check_output("rm -f %s && printf %%s %s > %s", path, content, path)
    host.check_output("systemctl restart nginx.service")
    hub = client(host, site.ca)
    wait_until(hub.healthy, 120)
    hub.add_users(ALICE)
    return hub


def test_works_behind_a_front(host: Host, front: HubClient) -> None:
    answer = front.session.get(f"{URL}/hub/login", timeout=30)
    assert answer.ok
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    form = {**ALICE, "username": ALICE["name"], "_xsrf": front.session.cookies["_xsrf"]}
    entered = front.session.post(f"{URL}/hub/login", data=form, timeout=60, allow_redirects=False)
    secure = {cookie.name for cookie in entered.cookies if cookie.secure}
    assert {"jupyterhub-session-id", "jupyterhub-hub-login"} <= secure  # JupyterHub's own _xsrf never is
    front.session.cookies.clear()
    kernel = Kernel(front, "alice")
    assert kernel.run("print(6 * 7)") == "42"
    kernel.socket.close()
    front.stop("alice")


def test_forwarded_headers_are_believed_from_the_front_alone(host: Host, front: HubClient) -> None:
    """The hub's log says where it thinks that a request came from."""
    told = {"X-Forwarded-For": "198.51.100.99", "X-Real-Ip": "198.51.100.99", "Host": NAME}
    code = (
        "import sys, urllib.request as r; "
        "r.build_opener(r.ProxyHandler({})).open("
        f"r.Request('http://' + sys.argv[1] + ':{HTTP}/hub/login?' + sys.argv[2], headers={told!r}))"
    )
    address = host.check_output("hostname -i").split()[0]
    front_mark, other_mark = uuid.uuid4().hex, uuid.uuid4().hex
    for source, mark in (("127.0.0.1", front_mark), (address, other_mark)):
        host.check_output("python3 -c %s %s %s", code, source, mark)
    log = host.check_output("journalctl --unit=berth-hub --output=cat --no-pager")
    (by_front,), (by_other,) = (
        [line for line in log.splitlines() if mark in line] for mark in (front_mark, other_mark)
    )
    assert "198.51.100.99" in by_front
    assert "198.51.100.99" not in by_other


def test_keys_and_configuration_of_the_site_are_gone(host: Host, front: HubClient) -> None:
    assert host.run("ls /etc/berth/tls/own-* /var/lib/berth/routes/site-*").stdout == ""
    assert front.session.get(f"{URL}/hello-again", timeout=30).url != "https://example.org/hello-again"


def test_behind_a_front_a_converge_again_changes_nothing(front: HubClient) -> None:
    assert_converges_to_nothing(None, OFF, TAGS)
    assert_converges_to_nothing(None, OFF, ["proxy"], check=True)
    assert front.healthy()
