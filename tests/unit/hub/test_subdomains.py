"""A name for each user's servers: what it is, and a real hub and Traefik with it, over plain HTTP as behind a front."""

from __future__ import annotations

import asyncio
import re
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import Request

import jinja2
import pytest
import requests
from berth_hub.settings import load
from berth_hub.subdomains import PartedSpawner, label, name_below
from hypothesis import given
from hypothesis import strategies as st
from resolving import names_lead_here

from tests.unit.hub.conftest import wait_until, write_settings
from tests.unit.hub.running_hub import ADMIN_PASSWORD, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB = "hub.berth.test"
BASE = "/jupyter/"
PASSWORD = "a-long-enough-password"
ODD = "a_user.with+signs@example.org"
TEMPLATE = Path(__file__).parents[3] / "roles/proxy/templates/berth.yaml.j2"
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@pytest.mark.parametrize("name", ["alice", "a", "alice-2", "2b", "x" * 63, "u-x"])
def test_a_plain_name_stands_for_itself(name: str) -> None:
    assert label(name) == name


@pytest.mark.parametrize(
    "name",
    ["x" * 64, "a" * 255, "Alice", "a_b", "a.b", "alice@example.org", "größe", "日本", "123", "-a", "a-", "a--b"],
)
def test_any_other_gets_a_label_with_a_digest(name: str) -> None:
    assert re.fullmatch(r"u-[a-z0-9]{1,24}--[0-9a-f]{16}", label(name))


def test_no_two_names_share_a_label() -> None:
    names = ["alice", "Alice", "a_lice", "a.lice", "älice", "a-lice", "a--lice", "x" * 63, "x" * 64, "x" * 65]
    names += [label(name) for name in names]  # somebody may be called that
    assert len({label(name) for name in names}) == len(set(names))


@given(st.text(min_size=1, max_size=255))
def test_every_label_is_one_of_dns(name: str) -> None:
    assert DNS_LABEL.fullmatch(label(name))
    assert label(name)[2:4] != "--"  # what RFC 5891 keeps for itself


def test_a_service_has_a_name_that_no_user_has() -> None:
    assert name_below("alice", HUB, "user") == f"alice.{HUB}"
    assert name_below("alice", HUB, "service") not in {name_below(name, HUB, "user") for name in ("alice", "service")}


@pytest.mark.parametrize(
    "host", ["localhost", "hub", "192.0.2.7", "[2001:db8::7]", "hub_1.example.org", "hub..org", "x." * 94 + "org"]
)
def test_an_address_without_names_below_is_refused(tmp_path: Path, host: str) -> None:
    path = write_settings(tmp_path / "hub.json", public_url=f"https://{host}:8443", subdomains=True)
    with pytest.raises(ValueError, match=r"can have no names of users below it \(jupyterhub_subdomains\)"):
        load(path)
    write_settings(path, public_url=f"https://{host}:8443")
    load(path)


@pytest.mark.parametrize("host", ["hub.example.org", "hub.example.org:8443", "HUB.example.org", "hub.localhost"])
def test_an_address_with_names_below_is_good(tmp_path: Path, host: str) -> None:
    assert load(write_settings(tmp_path / "hub.json", public_url=f"https://{host}", subdomains=True)).subdomains


class Engine(PartedSpawner):
    """A spawner whose container runs; the engine's answers are all that is made up."""

    runs = True

    async def docker(self, method: str, *_given: Any, **_more: Any) -> Any:
        if method == "stop":
            self.runs = False
        return {"Id": "1", "State": {"Running": self.runs}} if method == "inspect_container" else None


def spawner(state: dict[str, Any], *, parted: bool, url: str) -> Engine:
    made = Engine(
        user=SimpleNamespace(name="alice"),
        orm_spawner=SimpleNamespace(name="", server=None),
        object_name="berth-alice",
        parted=parted,
        public_url=url,
        object_id="1",
        remove=True,
    )
    made.load_state(state)
    return made


BELOW = f"https://alice.{HUB}/user/alice/"
AT_HUB = f"https://{HUB}/user/alice/"


@pytest.mark.parametrize(
    ("started_for", "parted", "url", "is_stopped"),
    [
        ("", False, AT_HUB, False),
        ("", False, "https://new.example.org/user/alice/", False),
        (f"alice.{HUB}", True, BELOW, False),
        ("", True, BELOW, True),
        (f"alice.{HUB}", False, AT_HUB, True),
        (f"alice.{HUB}", True, "https://alice.new.example.org/user/alice/", True),
    ],
)
def test_a_server_that_was_started_for_another_name_is_stopped(
    started_for: str,
    parted: bool,  # noqa: FBT001 (pytest gives them by name)
    url: str,
    is_stopped: bool,  # noqa: FBT001
) -> None:
    state = {"started_for": started_for} if started_for else {}
    one = spawner(state, parted=parted, url=url)
    assert (asyncio.run(one.poll()) is not None) is is_stopped
    assert one.runs is not is_stopped
    assert one.get_state().get("started_for", "") == ("" if is_stopped else started_for)


@pytest.fixture(scope="module", autouse=True)
def names_are_known() -> Iterator[None]:
    """What DNS would say."""
    with names_lead_here(HUB):
        yield


def rendered(url: str, users: Path) -> str:
    """Berth's own file of Traefik's, as role proxy renders it."""
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)  # noqa: S701 (YAML, not HTML)
    environment.filters |= {"comment": lambda text: f"# {text}", "bool": bool, "regex_escape": re.escape}
    environment.tests["match"] = lambda text, pattern: bool(re.match(pattern, text))
    text = environment.from_string(TEMPLATE.read_text()).render(
        ansible_managed="managed",
        jupyterhub_base_url=BASE,
        jupyterhub_subdomains=True,
        proxy_public_url=url,
        proxy_tls="off",
        proxy_hsts_seconds=0,
        __proxy_host=HUB,
    )
    assert "/etc/berth/secrets/traefik_users" in text
    return text.replace("/etc/berth/secrets/traefik_users", str(users))


class Site:
    """The hub, its users' names, and sessions that are logged in."""

    def __init__(self, url: str, hub_url: str) -> None:
        self.url, self._hub_url = url, hub_url
        self.port = urlsplit(url).port

    def api(self, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": "token operator-token-for-tests"}
        return requests.request(method, f"{self._hub_url}{BASE}hub/api/{path}", headers=headers, timeout=30, **more)

    def below(self, name: str) -> str:
        return f"http://{label(name)}.{HUB}:{self.port}"

    def get(self, url: str, session: requests.Session | None = None) -> requests.Response:
        return (session or requests.Session()).get(url, timeout=30, allow_redirects=False)

    def log_in(self, name: str, password: str = PASSWORD) -> tuple[requests.Session, requests.Response]:
        session = requests.Session()
        # As browsers have it: without a Domain, a cookie is for the very name alone.
        session.cookies.set_policy(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain))
        page = f"{self.url}{BASE}hub/login"
        session.get(page, timeout=30)
        form = {"username": name, "password": password, "_xsrf": session.cookies["_xsrf"]}
        return session, session.post(page, data=form, timeout=30, allow_redirects=False)

    def start(self, name: str) -> dict[str, Any]:
        assert self.api("POST", f"users/{name}/server").status_code in (201, 202)
        found: dict[str, Any] = {}

        def ready() -> bool:
            found.update(self.api("GET", f"users/{name}").json()["servers"].get("") or {})
            return bool(found.get("ready"))

        wait_until(ready, f"the server of {name} is ready", 60)
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hub")
    running = Running(folder, name=HUB, subdomains=True, base_url=BASE)
    traefik = running.traefik
    (traefik.routes / "berth.yaml").write_text(rendered(traefik.url, traefik.base / "traefik_users"))
    try:
        hub = running.start()
        made = Site(hub.url, hub.hub_url)
        users = [{"name": name, "password": PASSWORD} for name in ("alice", "bob", ODD)]
        assert made.api("POST", "berth/users", json={"users": users}).ok
        yield made
    finally:
        running.stop()


@pytest.mark.parametrize("name", ["alice", ODD])
def test_a_server_is_at_its_users_name_alone(site: Site, name: str) -> None:
    server = site.start(name)
    address = urlsplit(server["full_url"])
    assert address.netloc == f"{label(name)}.{HUB}:{site.port}"
    assert site.get(server["full_url"]).status_code == 418  # the server's
    for other in (site.url, site.below("bob")):
        answer = site.get(f"{other}{address.path}")
        assert (answer.status_code, urlsplit(answer.headers["Location"]).netloc) == (302, urlsplit(site.url).netloc)


def test_a_server_that_does_not_run_is_asked_of_the_hub(site: Site) -> None:
    answer = site.get(f"{site.below('bob')}{BASE}user/bob/lab/tree/a%2Fb?x=1&y=http://evil.test/user/")
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{site.url}{BASE}hub/user/bob/lab/tree/a%2Fb?x=1&y=http://evil.test/user/"


@pytest.mark.parametrize("name", ["alice", "bob", "strange"])
@pytest.mark.parametrize(
    "path", ["/", "/hub/login", "/jupyter/", "/jupyter/hub/login", "/jupyter/hub/health", "/api/overview"]
)
def test_there_is_no_hub_at_a_users_name(site: Site, name: str, path: str) -> None:
    assert site.get(site.below(name) + path).status_code == 404


@pytest.mark.parametrize("name", ["127.0.0.1", f"a.b.{HUB}", "hubxberth.test", f"evil{HUB}"])
def test_there_is_no_hub_at_a_strange_name(site: Site, name: str) -> None:
    for path in ("hub/login", "user/alice/"):
        address = f"http://127.0.0.1:{site.port}{BASE}{path}"
        answer = requests.get(address, headers={"Host": name}, timeout=30, allow_redirects=False)
        assert answer.status_code == 404


def test_the_hub_is_at_its_own_name(site: Site) -> None:
    assert site.get(f"{site.url}{BASE}hub/health").status_code == 200
    answer = site.get(f"{site.url}/")
    assert (answer.status_code, answer.headers["Location"]) == (302, site.url + BASE)


def test_whoever_logs_in_is_led_to_the_own_name_and_leaves_the_hubs_cookie_behind(site: Site) -> None:
    site.start("bob")
    session, answer = site.log_in("bob")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{site.below('bob')}{BASE}user/bob/")
    (login,) = (cookie for cookie in session.cookies if "hub-login" in cookie.name)
    assert (login.domain, login.domain_specified) == (HUB, False)
    for base, is_sent in ((site.url, True), (site.below("bob"), False)):
        request = Request(f"{base}{BASE}hub/home")  # noqa: S310 (it is only asked what would be sent)
        session.cookies.add_cookie_header(request)
        assert ("hub-login" in (request.get_header("Cookie") or "")) is is_sent


def test_nobody_is_sent_to_a_name_that_only_looks_like_the_hubs(site: Site) -> None:
    session = requests.Session()
    page = f"{site.url}{BASE}hub/login?next=http://evil{HUB}:{site.port}{BASE}user/admin/"
    session.get(page, timeout=30)
    form = {"username": "admin", "password": ADMIN_PASSWORD, "_xsrf": session.cookies["_xsrf"]}
    answer = session.post(page, data=form, timeout=30, allow_redirects=False)
    assert answer.status_code == 302
    assert "evil" not in answer.headers["Location"]
