"""Routes through a real Traefik: usable once the hub says so, kept over a restart of either."""

from __future__ import annotations

import asyncio
import http.server
import json
import stat
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from berth_hub import secrets
from berth_hub.proxy import BerthProxy

from tests.unit.hub.conftest import wait_until
from tests.unit.hub.traefik import PASSWORD, Traefik, body, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the name that it was given and the path that it was asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.server.server_name} {self.path}".encode())  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def traefik(tmp_path: Path) -> Iterator[Traefik]:
    traefik = Traefik(tmp_path / "proxy")
    traefik.start()
    yield traefik
    traefik.stop()


@pytest.fixture
def backends() -> Iterator[list[str]]:
    """Addresses of two small servers, called `first` and `second`."""
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) for _ in range(2)]
    for name, server in zip(("first", "second"), servers, strict=True):
        server.server_name = name
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


def new_proxy(traefik: Traefik) -> BerthProxy:
    """What the hub makes at its start, with the settings that berth_hub.config gives it; needs a running event loop."""
    return BerthProxy(
        should_start=False,
        enable_setup_dynamic_config=False,
        dynamic_config_file=str(traefik.routes_file),
        traefik_entrypoint="public",
        traefik_api_url=traefik.api_url,
        traefik_api_username=secrets.TRAEFIK_USER,
        traefik_api_password=PASSWORD,
        public_url=traefik.url,
    )


def test_a_route_works_at_once_and_is_gone_when_deleted(traefik: Traefik, backends: list[str]) -> None:
    async def scenario() -> None:
        proxy = new_proxy(traefik)
        await proxy.add_route("/user/alice/", backends[0], {"user": "alice"})
        assert await asyncio.to_thread(body, f"{traefik.url}/user/alice/lab?x=1") == "first /user/alice/lab?x=1"
        await proxy.add_route("/user/alice/", backends[1], {"user": "alice"})
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(body, f"{traefik.url}/user/alice/") == "second /user/alice/"
        await proxy.delete_route("/user/alice/")

    asyncio.run(scenario())
    wait_until(lambda: status(f"{traefik.url}/user/alice/") == 404, "the route is gone")


def test_the_longer_route_wins(traefik: Traefik, backends: list[str]) -> None:
    async def scenario() -> None:
        proxy = new_proxy(traefik)
        await proxy.add_route("/", backends[0], {"hub": True})
        await proxy.add_route("/user/alice/", backends[1], {"user": "alice"})

    asyncio.run(scenario())
    assert body(f"{traefik.url}/hub/login") == "first /hub/login"
    assert body(f"{traefik.url}/user/alice") == "second /user/alice"
    assert body(f"{traefik.url}/user/alice/tree") == "second /user/alice/tree"
    assert body(f"{traefik.url}/user/alice2/tree") == "first /user/alice2/tree"


def test_names_of_every_kind_have_routes_of_their_own(traefik: Traefik, backends: list[str]) -> None:
    names = [
        "alice@example.org",
        "alice+tests@example.org",
        "größe",
        "日本",
        "a b",
        "a.b",
        "a%41",
        "a%2Fb",
        "{x}",
        "(a|b)",
        "[a]",
    ]
    names += ['a"b', "a\\b", "$x", "a:b", "a;b=c,d", "a?b#c", "a&b", "!*'", "~a_b"]
    paths = [f"/user/{quote(name, safe='@~')}/" for name in names]  # as JupyterHub does

    async def scenario() -> None:
        proxy = new_proxy(traefik)
        await proxy.add_route("/", backends[0], {"hub": True})
        await asyncio.gather(*(proxy.add_route(path, backends[1], {}) for path in paths))
        assert set(await proxy.get_all_routes()) == {"/", *paths}

    asyncio.run(scenario())
    assert [body(f"{traefik.url}{path}lab") for path in paths] == [f"second {path}lab" for path in paths]
    assert body(f"{traefik.url}/user/aA/lab") == "first /user/aA/lab"


def test_fifty_at_once_all_work(traefik: Traefik, backends: list[str]) -> None:
    names = [f"user{number}" for number in range(50)]

    async def scenario() -> None:
        proxy = new_proxy(traefik)
        await asyncio.gather(*(proxy.add_route(f"/user/{name}/", backends[0], {"user": name}) for name in names))
        assert set(await proxy.get_all_routes()) == {f"/user/{name}/" for name in names}

    asyncio.run(scenario())
    for name in names:
        assert body(f"{traefik.url}/user/{name}/lab") == f"first /user/{name}/lab"


def test_a_hub_that_starts_anew_knows_the_routes(traefik: Traefik, backends: list[str]) -> None:
    async def before() -> None:
        await new_proxy(traefik).add_route("/user/alice/", backends[0], {"user": "alice"})

    async def after() -> None:
        proxy = new_proxy(traefik)
        assert await proxy.get_all_routes() == {
            "/user/alice/": {"routespec": "/user/alice/", "target": backends[0], "data": {"user": "alice"}}
        }
        await proxy.add_route("/user/bob/", backends[1], {"user": "bob"})

    asyncio.run(before())
    asyncio.run(after())
    assert body(f"{traefik.url}/user/alice/") == "first /user/alice/"
    assert body(f"{traefik.url}/user/bob/") == "second /user/bob/"


def test_a_proxy_that_starts_anew_knows_the_routes(traefik: Traefik, backends: list[str]) -> None:
    async def scenario() -> None:
        await new_proxy(traefik).add_route("/user/alice/", backends[0], {"user": "alice"})

    asyncio.run(scenario())
    traefik.stop()
    assert status(f"{traefik.url}/user/alice/") is None
    traefik.start()
    wait_until(lambda: status(f"{traefik.url}/user/alice/") == 200, "the route is back")


def test_a_route_waits_for_a_proxy_that_is_restarting(traefik: Traefik, backends: list[str]) -> None:
    async def scenario() -> None:
        proxy = new_proxy(traefik)
        await proxy.get_all_routes()
        await asyncio.to_thread(traefik.stop)
        adding = asyncio.ensure_future(proxy.add_route("/user/alice/", backends[0], {"user": "alice"}))
        await asyncio.sleep(0.3)
        assert not adding.done()
        await asyncio.to_thread(traefik.start)
        await asyncio.wait_for(adding, 10)

    asyncio.run(scenario())
    assert body(f"{traefik.url}/user/alice/") == "first /user/alice/"


def test_a_route_that_never_appears_is_an_error(traefik: Traefik, backends: list[str]) -> None:
    async def scenario() -> None:
        proxy = new_proxy(traefik)
        await proxy.get_all_routes()
        proxy.check_route_timeout = 1
        await asyncio.to_thread(traefik.stop)
        with pytest.raises(TimeoutError):
            await proxy.add_route("/user/alice/", backends[0], {"user": "alice"})

    asyncio.run(scenario())


def test_the_file_is_for_hub_and_proxy_only_and_complete_at_any_time(traefik: Traefik, backends: list[str]) -> None:
    broken: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                json.loads(traefik.routes_file.read_text())
            except FileNotFoundError:
                continue
            except ValueError as error:
                broken.append(str(error))

    async def scenario() -> None:
        proxy = new_proxy(traefik)
        await asyncio.gather(*(proxy.add_route(f"/user/u{n}/", backends[0], {}) for n in range(10)))

    reader = threading.Thread(target=look)
    reader.start()
    asyncio.run(scenario())
    done.set()
    reader.join()
    assert broken == []
    assert stat.S_IMODE(traefik.routes_file.stat().st_mode) == 0o640
    assert sorted(path.name for path in traefik.routes.iterdir()) == ["berth.yaml", "hub.yaml"]


def test_the_proxy_asks_for_the_password_of_its_api(traefik: Traefik) -> None:
    assert traefik.api_answers() == 401
    assert status(f"{traefik.url}/api/overview") == 404
