"""The same host once more, with the host's own CA again, and a name below the hub's for each user's servers."""

import os
import re
import shutil
from collections.abc import Iterator
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request

import pytest
import requests
import websocket
from converging import PROJECT, assert_converges_to_nothing, converge
from hub_client import HubClient, wait_until
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Request as PageRequest
from resolving import names_lead_here
from testinfra.host import Host

NAME = "hub.berth.test"
HTTPS, HTTP = os.environ["BERTH_DEMO_HTTPS_PORT"], os.environ["BERTH_DEMO_HTTP_PORT"]
CA = PROJECT / ".berth" / os.environ["BERTH_DEMO_NAME"] / "ca.crt"
TAGS = ["jupyterhub", "proxy"]
NAMES_FOR_USERS = {
    "proxy_public_url": f"https://{NAME}:{HTTPS}",
    "proxy_tls": "internal",
    "jupyterhub_subdomains": True,
    "jupyterhub_named_servers": 1,
}
PASSWORD = "a-long-enough-password"
ODD = "some_one.with+signs@example.org"
PATIENCE_MS = 60_000
ATTEMPTS = 4
LINK = "hub/user-redirect/berth/open?lab=hello.ipynb"


@pytest.fixture(autouse=True, scope="module")
def names_are_known() -> Iterator[None]:
    """What DNS would say, with *.NAME in it."""
    with names_lead_here(NAME):
        yield


class NamedHub(HubClient):
    """A hub whose users have names."""

    def server_url(self, user: str) -> str:
        """Where the hub says that the server is."""
        server = self.server(user)
        assert server is not None
        return str(server["full_url"]).rstrip("/")

    def log_in(self, user: str) -> requests.Session:
        """A session that is logged in at the hub, and has been nowhere else."""
        session = requests.Session()
        session.trust_env, session.verify = False, self.ca
        # As browsers have it: without a Domain, a cookie is for the very name alone.
        session.cookies.set_policy(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain))
        session.get(f"{self.url}/hub/login", timeout=60)
        form = {"username": user, "password": PASSWORD, "_xsrf": session.cookies["_xsrf"]}
        answer = session.post(f"{self.url}/hub/login", data=form, timeout=60, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return session


def origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def cookies_for(session: requests.Session, address: str) -> str:
    """What a browser would send there."""
    request = Request(address)  # noqa: S310 (it is only asked what would be sent)
    session.cookies.add_cookie_header(request)
    return request.get_header("Cookie") or ""


@pytest.fixture(scope="module")
def hub(host: Host) -> Iterator[NamedHub]:
    host.run("systemctl stop nginx.service")  # the front of the tests before, at the same port
    converge(None, NAMES_FOR_USERS, TAGS)
    hub = NamedHub(f"https://{NAME}:{HTTPS}", Path(CA), host.check_output("cat /etc/berth/secrets/operator_token"))
    wait_until(hub.healthy, 120)
    users = ("alice", "bob", ODD)
    hub.add_users(*({"name": name, "password": PASSWORD} for name in users))
    for name in users:
        hub.start(name)
    yield hub
    for name in users:
        hub.stop(name)


@pytest.fixture(scope="module")
def alice(hub: NamedHub) -> requests.Session:
    """Alice's browser, once she has followed a link to a notebook."""
    session = hub.log_in("alice")
    page = session.get(f"{hub.url}/{LINK}", timeout=120)
    assert page.ok, page.text
    visited = [answer.url for answer in (*page.history, page)]
    assert sum("/oauth2/authorize" in address for address in visited) == 1, f"went in a circle: {visited}"
    assert page.url == f"https://alice.{NAME}:{HTTPS}/user/alice/lab/tree/notebooks/hello.ipynb"
    assert "<title>JupyterLab</title>" in page.text
    return session


def test_certificate_is_for_the_hub_and_every_user(hub: NamedHub, alice: requests.Session) -> None:
    """All that the sessions fetch is checked against the CA."""
    assert alice.verify == hub.ca
    assert alice.get(f"https://someone-else.{NAME}:{HTTPS}/", timeout=60).status_code == 404
    with pytest.raises(requests.exceptions.SSLError, match="not valid for"):
        requests.get(f"https://a.b.{NAME}:{HTTPS}/", verify=hub.ca, timeout=60)


def test_code_runs_over_a_websocket_from_the_own_page_alone(hub: NamedHub, alice: requests.Session) -> None:
    server, kernel = hub.server_url("alice"), hub.new_kernel("alice")
    cookies = cookies_for(alice, f"{server}/")

    def run(page: str) -> str:
        return hub.execute("alice", kernel, "print(6 * 7)", header={"Cookie": cookies, "Origin": origin(page)})

    assert run(server) == "42\n"
    for other in (hub.server_url("bob"), hub.url):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            run(other)


def test_cookie_of_the_hub_stays_with_the_hub(hub: NamedHub, alice: requests.Session) -> None:
    (login,) = (cookie for cookie in alice.cookies if cookie.name.endswith("hub-login"))
    # With that prefix a browser takes it from the hub's name alone, and never with a Domain.
    assert (login.name, login.domain, login.domain_specified) == ("__Host-jupyterhub-hub-login", NAME, False)
    assert login.value
    assert login.value in cookies_for(alice, f"{hub.url}/hub/home")
    for user in ("alice", "bob"):
        sent = cookies_for(alice, f"{hub.server_url(user)}/")
        assert login.name not in sent
        assert login.value not in sent


def test_server_of_another_user_lets_nobody_in(hub: NamedHub, alice: requests.Session) -> None:
    server = hub.server_url("bob")
    answer = alice.get(f"{server}/lab", timeout=60)
    assert (answer.status_code, urlsplit(answer.url).hostname) == (403, NAME)
    stolen = {cookie.name: str(cookie.value) for cookie in alice.cookies if cookie.domain == f"alice.{NAME}"}
    assert "__Host-jupyterhub-user-alice" in stolen
    as_bobs = {**stolen, "__Host-jupyterhub-user-bob": stolen["__Host-jupyterhub-user-alice"]}
    token = {"Authorization": f"token {hub.token('alice')}"}
    for cookies, headers in ((as_bobs, None), (None, token)):
        answer = requests.get(
            f"{server}/api/contents",
            cookies=cookies,
            headers=headers,
            verify=hub.ca,
            timeout=60,
            allow_redirects=False,
        )
        assert answer.status_code == 403
    assert hub.as_user("bob", "GET", "/api/contents").ok


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real one, which finds the names."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not on PATH: apt-get install chromium"
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", f"--host-resolver-rules=MAP *.{NAME[4:]} 127.0.0.1"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield running
        running.close()


def test_browser_goes_from_hub_to_server_and_keeps_them_apart(hub: NamedHub, browser: Browser) -> None:
    """Tried again where Chromium gave up on a request because another scenario's container came or went."""
    for attempt in range(ATTEMPTS):
        context = browser.new_context(ignore_https_errors=True)  # it does not know the CA; all other tests verify it
        context.set_default_timeout(PATIENCE_MS)
        window, given_up = context.new_page(), list[str]()
        window.on("requestfailed", partial(note_failure, given_up))
        try:
            go_to_the_server(hub, window)
            try_what_a_hostile_page_would(hub, window)
        except (PlaywrightError, AssertionError):
            if attempt == ATTEMPTS - 1 or not any("ERR_NETWORK_CHANGED" in why for why in given_up):
                raise
        else:
            return
        finally:
            context.close()


def note_failure(seen: list[str], request: PageRequest) -> None:
    seen.append(str(request.failure))


def go_to_the_server(hub: NamedHub, window: Page) -> None:
    """By logging in, by a link to a notebook, and by a click on the hub's page."""
    in_lab = re.compile(rf"https://bob\.{NAME}:{HTTPS}/user/bob/lab")
    window.goto(f"{hub.url}/")
    window.fill("#username_input", "bob")
    window.fill("#password_input", PASSWORD)
    window.click("#login_submit")
    expect(window).to_have_url(in_lab, timeout=PATIENCE_MS)
    window.goto(f"{hub.url}/{LINK}")
    expect(window.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=PATIENCE_MS)
    window.goto(f"{hub.url}/hub/home")
    window.click("#start")
    expect(window).to_have_url(in_lab, timeout=PATIENCE_MS)
    expect(window.locator("#jp-main-dock-panel")).to_be_visible(timeout=PATIENCE_MS)


def try_what_a_hostile_page_would(hub: NamedHub, window: Page) -> None:
    """From bob's server, with bob logged in: read the hub and alice's server, and plant the hub's cookie."""
    read = "address => fetch(address, {credentials: 'include'}).then(answer => answer.status, error => error.name)"
    assert window.evaluate(read, f"{hub.server_url('bob')}/api") == 200
    for address in (f"{hub.url}/hub/home", f"{hub.url}/hub/api/user", f"{hub.server_url('alice')}/api"):
        assert window.evaluate(read, address) == "TypeError", f"could read {address}"
    planted = f"Domain={NAME}; Path=/; Secure"
    (login,) = (cookie["name"] for cookie in window.context.cookies() if cookie["name"].endswith("hub-login"))
    for name in (login, "planted"):
        window.evaluate("cookie => document.cookie = cookie", f"{name}=planted; {planted}")
    assert [cookie["name"] for cookie in window.context.cookies() if cookie["value"] == "planted"] == ["planted"]


def test_user_whose_name_is_no_label_works_too(hub: NamedHub) -> None:
    page = hub.log_in(ODD).get(f"{hub.url}/{LINK}", timeout=120)
    assert "<title>JupyterLab</title>" in page.text
    assert re.fullmatch(rf"u-someonewithsignsexampleo--[0-9a-f]{{16}}\.{NAME}", str(urlsplit(page.url).hostname))
    assert hub.execute(ODD, hub.new_kernel(ODD), "print(6 * 7)") == "42\n"


def test_named_server_is_at_its_users_name(hub: NamedHub, alice: requests.Session) -> None:
    hub.api("POST", "/users/alice/servers/second")
    try:
        wait_until(lambda: hub.api("GET", "/users/alice")["servers"]["second"]["ready"], 120)
        page = alice.get(f"{hub.url}/hub/user/alice/second/lab", timeout=120)
        assert urlsplit(page.url)[1:3] == (f"alice.{NAME}:{HTTPS}", "/user/alice/second/lab")
        assert "<title>JupyterLab</title>" in page.text
    finally:
        hub.api("DELETE", "/users/alice/servers/second", json={"remove": True})


@pytest.mark.parametrize("path", ["/", "/hub/login", "/hub/api/", "/api/overview"])
def test_there_is_no_hub_at_other_names(hub: NamedHub, path: str) -> None:
    for name in (f"alice.{NAME}", f"strange.{NAME}", "localhost"):
        answer = requests.get(f"https://{name}:{HTTPS}{path}", verify=hub.ca, timeout=60, allow_redirects=False)
        assert answer.status_code == 404, name


def test_server_that_does_not_run_leads_to_the_hub(hub: NamedHub) -> None:
    address = f"https://nobody.{NAME}:{HTTPS}/user/nobody/lab?reset"
    answer = requests.get(address, verify=hub.ca, timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{hub.url}/hub/user/nobody/lab?reset")


def test_plain_http_is_sent_to_https_at_the_same_name(hub: NamedHub) -> None:
    assert hub.healthy()
    answer = requests.get(f"http://alice.{NAME}:{HTTP}/user/alice/lab?x=1", timeout=60, allow_redirects=False)
    assert answer.status_code in (301, 308)
    assert answer.headers["Location"] == f"https://alice.{NAME}:{HTTPS}/user/alice/lab?x=1"


def test_with_names_for_users_a_converge_again_changes_nothing(hub: NamedHub) -> None:
    assert_converges_to_nothing(None, NAMES_FOR_USERS, ["proxy"], check=True)
    assert hub.healthy()
