"""The status page on a real hub, with a Prometheus that answers like one, and what is remembered of failed starts."""

from __future__ import annotations

import asyncio
import http.server
import json
import math
import threading
import urllib.parse
import xml.etree.ElementTree as ET
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from berth_hub.monitoring import figures
from berth_hub.monitoring.failures import KEPT, FailedStarts, recorded
from berth_hub.monitoring.page import berth_name
from berth_hub.monitoring.plot import Line, Span, draw
from berth_hub.monitoring.prometheus import NoAnswerError, Prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_700_000_000.0

VALUES: dict[str, list[tuple[dict[str, str], float]]] = {
    "berth_memory_bytes": [({"berth": "alice"}, 3 * 1024**3 / 2)],
    "berth_memory_limit_bytes": [({"berth": "alice"}, 2 * 1024**3)],
    "node_load5": [({}, 0.5)],
    "berth_disk_size_bytes": [({"path": "/srv"}, 100.0)],
    "berth_disk_available_bytes": [({"path": "/srv"}, 60.0)],
}


class Answers(http.server.BaseHTTPRequestHandler):
    """Prometheus's HTTP API as far as it is asked."""

    def do_GET(self) -> None:
        asked = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(asked.query).get("query", [""])[0]
        if asked.path.endswith("/alerts"):
            labels = {"alertname": "BerthHubDown", "severity": "critical"}
            told = {"labels": labels, "annotations": {"summary": "<down>"}, "activeAt": "2026-01-01T00:00:00Z"}
            data: Any = {"alerts": [{**told, "state": "firing"}, {**told, "state": "pending"}]}
        elif asked.path.endswith("/query"):
            value = [({}, math.nan)] if "quantile" in query else VALUES.get(query, [])
            data = {"result": [{"metric": labels, "value": [NOW, str(number)]} for labels, number in value]}
        else:
            data = {"result": [{"metric": {"path": "/srv"}, "values": [[NOW - 600, "1"], [NOW - 300, "2"]]}]}
        content = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def answering() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_figures(answering: str) -> None:
    found = asyncio.run(figures.collect(Prometheus(answering), NOW))
    assert found.problem == ""
    assert [alert["name"] for alert in found.alerts] == ["BerthHubDown"]
    assert found.use["alice"].memory == 3 * 1024**3 / 2
    assert found.use["alice"].cpu is None
    assert found.disks == [("/srv", 40.0, 100.0)]
    assert found.load == 0.5
    assert found.start_median is None
    assert set(found.plots) == {"day", "week"}
    disk = found.plots["day"][-1]
    assert disk["lines"] == ["/srv"]
    assert "<path" in disk["svg"]


def test_a_prometheus_that_is_down_is_told() -> None:
    found = asyncio.run(figures.collect(Prometheus("http://127.0.0.1:9"), NOW))
    assert "127.0.0.1:9" in found.problem
    assert found.plots == {}
    with pytest.raises(NoAnswerError):
        asyncio.run(Prometheus("http://127.0.0.1:9").alerts())


def test_units() -> None:
    assert figures.size(0) == "0 B"
    assert figures.size(1.5 * 1024**3) == "1.5 GiB"
    assert figures.size(512 * 1024**2) == "512 MiB"
    assert figures.number(2.0) == "2"
    assert figures.number(0.256) == "0.26"
    assert figures.number(100) == "100"


def test_names_of_figures_are_those_of_containers() -> None:
    assert berth_name("alice", "") == "alice"
    assert berth_name("alice", "second") == "alice.second"
    assert berth_name("Al@x", "").startswith("al-x--")


SPAN = Span(NOW - 86400, NOW, 300)


def lines_of(svg: str) -> list[str]:
    return [
        path.attrib["d"]
        for path in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")  # noqa: S314 (drawn a moment ago)
        if path.attrib.get("fill") == "none"
    ]


def test_a_plot_is_well_formed_and_breaks_where_values_are_missing() -> None:
    points = [(NOW - 3000, 1.0), (NOW - 2700, 2.0), (NOW - 300, 3.0), (NOW, math.nan)]
    svg = draw("Less < more & so on", [Line("a", points)], SPAN, figures.number)
    first, second = lines_of(svg)
    assert first.count("L") == 1
    assert "L" not in second
    assert "Less &lt; more" in svg


def test_a_plot_without_values_says_so() -> None:
    svg = draw("Nothing", [], SPAN, figures.number)
    assert "no figures yet" in svg
    assert lines_of(svg) == []


@pytest.mark.parametrize("value", [0.0, 0.003, 1.0, 9.9, 99.0, 1e12])
def test_no_line_leaves_its_plot(value: float) -> None:
    (path,) = lines_of(draw("One", [Line("a", [(NOW - 300, value)])], SPAN, figures.number))
    x, y = (float(part) for part in path.removeprefix("M").removesuffix("h0").split())
    assert 58 <= x <= 552
    assert 10 <= y <= 166


def spawner(path: Path) -> SimpleNamespace:
    return SimpleNamespace(
        failed_starts_file=str(path / "failed.json"), user=SimpleNamespace(name="alice"), name="", start_timeout=60
    )


def test_failed_starts_are_remembered_with_the_reason(tmp_path: Path) -> None:
    @recorded
    async def start(_: Any) -> None:
        raise RuntimeError("no space left")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="no space left"):
            asyncio.run(start(spawner(tmp_path)))
    file = tmp_path / "failed.json"
    found = FailedStarts(file).last()
    assert [(one["user"], one["reason"]) for one in found] == [("alice", "no space left")] * 2
    assert file.stat().st_mode & 0o077 == 0


def test_a_start_that_took_too_long_is_remembered(tmp_path: Path) -> None:
    @recorded
    async def start(_: Any) -> None:
        await asyncio.sleep(60)

    async def give_up() -> None:
        await asyncio.wait_for(start(spawner(tmp_path)), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    (found,) = FailedStarts(tmp_path / "failed.json").last()
    assert "60 seconds" in found["reason"]


def test_a_start_that_works_is_not(tmp_path: Path) -> None:
    @recorded
    async def start(_: Any) -> tuple[str, int]:
        return ("172.29.0.2", 8888)

    assert asyncio.run(start(spawner(tmp_path))) == ("172.29.0.2", 8888)
    assert FailedStarts(tmp_path / "failed.json").last() == []


def test_the_memory_of_failed_starts_is_bounded_and_survives_nonsense(tmp_path: Path) -> None:
    starts = FailedStarts(tmp_path / "failed.json")
    starts.path.write_text("{half a fi")
    for number in range(KEPT + 5):
        starts.add("alice", "", f"{number}" + "x" * 5000)
    found = starts.last()
    assert len(found) == KEPT
    assert found[0]["reason"].startswith(str(KEPT + 4))
    assert len(found[0]["reason"]) == 2000
