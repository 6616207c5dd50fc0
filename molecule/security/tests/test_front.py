"""Somebody hostile at the front door: without an account, with one, or with a page of their own that a user visits."""

from __future__ import annotations

import json
import time
from http.client import BAD_REQUEST, FORBIDDEN, FOUND, OK
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
import requests
from hub_client import HubClient, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from testinfra.host import Host

PASSWORD = "a-long-enough-password"
SERVER_TAKES_ITS_WORD_SECONDS = 20
"""How long a server goes on with what it was told of a session (HubOAuth.cache_max_age)."""


def browser(hub: HubClient) -> requests.Session:
    """A browser of somebody's."""
    session = requests.Session()
    session.trust_env = False
    session.verify = hub.ca
    return session


def log_in(hub: HubClient, session: requests.Session, name: str, password: str, after: str = "") -> requests.Response:
    """Send the form of the log-in page."""
    address = f"{hub.url}/hub/login" + (f"?next={quote(after, safe='')}" if after else "")
    session.get(address, timeout=30)
    form = {"username": name, "password": password, "_xsrf": session.cookies.get("_xsrf", path="/hub/")}
    return session.post(address, data=form, timeout=60, allow_redirects=False)


@pytest.fixture
def alice(hub: HubClient, people: tuple[str, str]) -> requests.Session:
    """Her browser, logged in."""
    session = browser(hub)
    assert log_in(hub, session, "alice", PASSWORD).status_code == FOUND
    return session


@pytest.mark.parametrize("path", ["/", "/hub/login", "/hub/home", "/user/alice/lab", "/hub/static/css/style.min.css"])
def test_headers_of_every_page(hub: HubClient, alice: requests.Session, path: str) -> None:
    headers = alice.get(f"{hub.url}{path}", timeout=60).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "geolocation=()" in headers["Permissions-Policy"]
    if "css" not in path:
        assert (
            "frame-ancestors 'self'" in headers["Content-Security-Policy"]
            or "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        )
    for name in ("Server", "X-Powered-By", "X-JupyterHub-Version"):
        assert name not in headers


def test_cookies_are_for_this_site_by_https_and_not_for_scripts(hub: HubClient, people: tuple[str, str]) -> None:
    session = browser(hub)
    answer = log_in(hub, session, "alice", PASSWORD)
    given = answer.raw.headers.getlist("Set-Cookie")
    login = [cookie for cookie in given if cookie.startswith(("jupyterhub-hub-login=", "jupyterhub-session-id="))]
    assert len(login) == 2
    for cookie in login:
        assert "httponly" in cookie.lower(), cookie
        assert "secure" in cookie.lower(), cookie


AFTER = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example",
    "/hub/..//evil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/%2f/evil.example",
    "//evil.example/hub/",
    "https://localhost@evil.example",
    "https://localhost.evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.example",
    "/hub/login?next=//evil.example",
]


@pytest.mark.parametrize("after", AFTER)
def test_nobody_is_sent_elsewhere(hub: HubClient, people: tuple[str, str], after: str) -> None:
    """Wherever a link sends one after the log-in; read as browsers do, for which a back-slash is a slash."""
    session = browser(hub)
    answer = log_in(hub, session, "alice", PASSWORD, after)
    assert answer.status_code in (FOUND, BAD_REQUEST, FORBIDDEN)
    for _ in range(5):
        if "Location" not in answer.headers:
            break
        place = answer.headers["Location"].replace("\\", "/").replace("\t", "").replace("\n", "")
        target = urljoin(hub.url, place)
        assert urlsplit(target).netloc == urlsplit(hub.url).netloc, answer.headers["Location"]
        assert urlsplit(target).scheme == "https"
        answer = session.get(target, timeout=60, allow_redirects=False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
    ids=str,
)
def test_another_sites_page_changes_nothing(hub: HubClient, alice: requests.Session, headers: dict[str, str]) -> None:
    """Her browser sends her cookies, and no token that only our pages have."""
    before = hub.api("GET", "/users/alice")
    for method, path in (
        ("POST", "/hub/api/users/alice/tokens"),
        ("DELETE", "/hub/api/users/alice/server"),
        ("POST", "/hub/logout"),
        ("POST", "/hub/spawn/alice"),
        ("POST", "/hub/change-password"),
        ("POST", "/user/alice/api/kernels"),
        ("POST", "/user/alice/api/terminals"),
        ("PUT", "/user/alice/api/contents/evil.txt"),
        ("POST", "/user/alice/api/shutdown"),
    ):
        answer = alice.request(
            method, f"{hub.url}{path}", headers=headers, data="{}", timeout=30, allow_redirects=False
        )
        assert answer.status_code >= BAD_REQUEST, (method, path, answer.status_code)
    after = hub.api("GET", "/users/alice")
    assert after["servers"].keys() == before["servers"].keys()


def test_log_in_needs_a_token_of_the_page(hub: HubClient, people: tuple[str, str]) -> None:
    form = {"username": "alice", "password": PASSWORD}
    for more in ({}, {"_xsrf": "guessed"}):
        answer = browser(hub).post(f"{hub.url}/hub/login", data=form | more, timeout=30, allow_redirects=False)
        assert answer.status_code == FORBIDDEN
        assert "jupyterhub-hub-login" not in answer.cookies


def test_cookies_end_with_the_log_out(hub: HubClient, alice: requests.Session) -> None:
    """Somebody who copied them before has nothing of them after."""
    assert alice.get(f"{hub.url}/user/alice/api/contents", timeout=60).status_code in (OK, FORBIDDEN)
    alice.get(f"{hub.url}/user/alice/lab", timeout=60)
    thief = browser(hub)
    thief.cookies.update(alice.cookies)
    assert thief.get(f"{hub.url}/user/alice/api/me", timeout=30).status_code == OK
    assert thief.get(f"{hub.url}/hub/home", timeout=30, allow_redirects=False).status_code == OK
    page = alice.get(f"{hub.url}/hub/logout", timeout=30, allow_redirects=False)
    assert page.status_code in (OK, FOUND)
    assert thief.get(f"{hub.url}/hub/home", timeout=30, allow_redirects=False).status_code == FOUND
    wait_until(
        lambda: thief.get(f"{hub.url}/user/alice/api/me", timeout=30).status_code == FORBIDDEN,
        3 * SERVER_TAKES_ITS_WORD_SECONDS,
        1,
    )


def test_cookies_that_somebody_else_planted_log_nobody_in(hub: HubClient, people: tuple[str, str]) -> None:
    """As a page of a neighbouring domain could plant them: false ones, those of another user's, one name twice."""
    mallory = browser(hub)
    assert log_in(hub, mallory, "bob", PASSWORD).status_code == FOUND
    stolen = {cookie.name: cookie.value for cookie in mallory.cookies if cookie.value}
    for value in ("forged", '"2|1:0|10:1700000000|20:jupyterhub-hub-login|4:YWxp|00"', "x" * 3000, "%00", ""):
        for name in ("jupyterhub-hub-login", "jupyterhub-session-id", "jupyterhub-user-alice"):
            headers = {"Cookie": f"{name}={value}; {name}=other"}
            answer = requests.get(
                f"{hub.url}/hub/home", headers=headers, verify=hub.ca, timeout=30, allow_redirects=False
            )
            assert answer.status_code in (FOUND, BAD_REQUEST), (name, value)
            answer = requests.get(f"{hub.url}/user/alice/api/me", headers=headers, verify=hub.ca, timeout=30)
            assert answer.status_code in (FORBIDDEN, BAD_REQUEST), (name, value)
    # Bob's own, under the name of alice's server.
    headers = {"Cookie": f"jupyterhub-user-alice={stolen['jupyterhub-hub-login']}"}
    assert (
        requests.get(f"{hub.url}/user/alice/api/me", headers=headers, verify=hub.ca, timeout=30).status_code
        == FORBIDDEN
    )


GUESS = """
import http.cookiejar, json, ssl, sys, urllib.error, urllib.parse, urllib.request
from concurrent.futures import ThreadPoolExecutor
url, names, count = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
context = ssl.create_default_context(cafile=sys.argv[4])
def guess(number):
    jar = http.cookiejar.CookieJar()
    handlers = urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(jar)
    opener = urllib.request.build_opener(*handlers)
    opener.open(url, timeout=60)
    token = next(cookie.value for cookie in jar if cookie.name == "_xsrf")
    form = {"username": names[number % len(names)], "password": f"wrong-{number}-password", "_xsrf": token}
    try:
        return opener.open(url, urllib.parse.urlencode(form).encode(), timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code
with ThreadPoolExecutor(8) as threads:
    print(json.dumps(list(threads.map(guess, range(count)))))
"""


def test_guessing_shuts_out_who_guesses_and_no_one_else(host: Host, hub: HubClient, people: tuple[str, str]) -> None:
    """Fifty wrong passwords come from the host's own address; people come from another one."""
    # Which forgets who has failed before.
    host.check_output("systemctl restart berth-hub")
    wait_until(hub.healthy)
    hub.add_users({"name": "victim", "password": PASSWORD})
    guess = "python3 -c %s %s %s %s /etc/berth/tls/ca.crt"
    host.check_output(guess, GUESS, f"{hub.url}/hub/login", "victim,nobody,somebody", "51")
    assert json.loads(host.check_output(guess, GUESS, f"{hub.url}/hub/login", "victim", "1")) == [429]
    # The account that was guessed at is shut for a while, for its owner too, and the others are not.
    assert log_in(hub, browser(hub), "victim", PASSWORD).status_code != FOUND
    assert log_in(hub, browser(hub), "alice", PASSWORD).status_code == FOUND
    hub.add_users({"name": "victim", "state": "absent"})


def test_names_and_requests_are_bounded(
    hub: HubClient, people: tuple[str, str], in_berth: Callable[[str, str], Any]
) -> None:
    session = browser(hub)
    for name in ("x" * 300, "x" * 100_000, "é" * 5000, "a\x00b", "a\nb", "../x", "x/y", "<script>alert(7)"):
        answer = log_in(hub, session, name, PASSWORD)
        assert BAD_REQUEST <= answer.status_code < 500, name[:20]
        assert "<script>alert(7)" not in answer.text
    # Of 20 MB the hub reads nothing, whether they come in at the front or from a berth.
    send = """
import http.client
connection = http.client.HTTPConnection("172.29.0.1", 8081, timeout=20)
try:
    connection.request("POST", "/hub/login", b"x" * 20_000_000)
    print(connection.getresponse().status)
except OSError as error:
    print("cut off", error)
"""
    assert in_berth("alice", f"python3 -c '{send}'").stdout.split()[0] in ("400", "413", "cut")
    try:
        answer = session.post(f"{hub.url}/hub/login", data=b"x" * 20_000_000, timeout=60)
        assert answer.status_code >= BAD_REQUEST
    except requests.ConnectionError:
        pass
    assert hub.healthy()


def test_headers_are_bounded(hub: HubClient) -> None:
    for headers in ({"X-Long": "x" * 2_000_000}, {f"X-{number}": "x" * 60_000 for number in range(40)}):
        try:
            answer = browser(hub).get(f"{hub.url}/hub/login", headers=headers, timeout=30)
            assert answer.status_code >= BAD_REQUEST
        except requests.ConnectionError:
            pass
    assert hub.healthy()


def test_upload_by_a_user_goes_on(hub: HubClient, alice: requests.Session) -> None:
    """What bounds the hub does not bound a user's own files."""
    headers = {"Authorization": f"token {hub.token('alice')}"}
    content = {"type": "file", "format": "text", "content": "x" * 30_000_000}
    began = time.monotonic()
    answer = hub.session.put(f"{hub.url}/user/alice/api/contents/large.txt", json=content, headers=headers, timeout=120)
    assert answer.status_code == 201, (answer.text[:300], time.monotonic() - began)
