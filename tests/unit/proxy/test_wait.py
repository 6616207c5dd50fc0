"""How long a converge waits for a hub, and which one it waits for no longer."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.scripts import load

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "proxy" / "files" / "wait.py"
wait = load(SCRIPT)


class Hub(BaseHTTPRequestHandler):
    """Is well from its third request on, below a path."""

    asked = 0

    def do_GET(self) -> None:
        Hub.asked += 1
        self.send_response(200 if Hub.asked > 2 and self.path == "/below/hub/health" else 503)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    Hub.asked = 0
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = tmp_path / "hub.json"
    settings.write_text(json.dumps({"hub_url": f"http://127.0.0.1:{server.server_port}", "base_url": "/below/"}))
    monkeypatch.setattr(wait, "SETTINGS", settings)
    monkeypatch.setattr(wait, "ends", lambda: 0)
    monkeypatch.setattr(wait, "show", lambda _what: "active")
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("hub")
def test_a_hub_that_gets_well_in_time() -> None:
    assert wait.main(30) == ""


@pytest.mark.usefixtures("hub")
def test_one_that_does_not() -> None:
    Hub.asked = -(10**6)
    began = time.monotonic()
    assert wait.main(1) == "no answer within 1 s"
    assert 1 <= time.monotonic() - began < 10


@pytest.mark.usefixtures("hub")
def test_one_that_ends_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    Hub.asked = -(10**6)
    # It was started anew meanwhile: systemd counts from 0 again.
    counted = iter([7, 0, 1, 2, 3, 4])
    monkeypatch.setattr(wait, "ends", lambda: next(counted))
    assert wait.main(60) == "it ended 3 times while it was waited for"


@pytest.mark.usefixtures("hub")
def test_one_that_is_not_started_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    Hub.asked = -(10**6)
    monkeypatch.setattr(wait, "show", lambda _what: "failed")
    assert wait.main(60) == "it ended, and is not started again"
