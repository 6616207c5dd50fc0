"""Who sees the status page of a running hub, and what it says when monitoring is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.unit.hub.conftest import wait_until
from tests.unit.hub.running_hub import ADMIN_PASSWORD, Hub, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "a password good enough"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Running(tmp_path_factory.mktemp("hub")) as running:
        yield running


def test_whoever_is_not_logged_in_is_asked_to(hub: Hub) -> None:
    answer = requests.get(f"{hub.url}/hub/status", timeout=30, allow_redirects=False)
    assert answer.status_code == 302
    assert "/hub/login" in answer.headers["Location"]


def test_a_user_is_refused(hub: Hub) -> None:
    hub.users({"name": "alice", "password": PASSWORD})
    session = hub.log_in("alice", PASSWORD)
    assert session is not None
    assert session.get(f"{hub.url}/hub/status", timeout=30).status_code == 403
    assert "hub/status" not in session.get(f"{hub.url}/hub/token", timeout=30).text


def test_an_admin_sees_it_and_that_monitoring_is_off(hub: Hub) -> None:
    session = hub.log_in("admin", ADMIN_PASSWORD)
    assert session is not None
    answer = session.get(f"{hub.url}/hub/status", timeout=30)
    assert answer.status_code == 200
    assert 'id="monitoring-off"' in answer.text
    assert "<figure" not in answer.text
    assert 'href="/hub/status"' in session.get(f"{hub.url}/hub/token", timeout=30).text


def test_failed_starts_are_counted_from_the_first(hub: Hub) -> None:
    """A counter that first appears with 1 has never increased, to Prometheus."""
    text = hub.api("GET", "../metrics").text
    assert "berth_failed_starts_total 0.0" in text


def test_visits_of_prometheus_are_not_told_one_by_one(hub: Hub) -> None:
    """In the order of the log: what comes after them is there already when they are looked for."""
    assert hub.api("GET", "../metrics").status_code == 200
    assert hub.api("GET", "../metrics", token="reader-token-for-tests").status_code == 403
    wait_until(lambda: "GET /hub/metrics (reader@" in hub.log.read_text(), "the refused visit is not in the log")
    told = [line for line in hub.log.read_text().splitlines() if "/hub/metrics" in line and " GET " in line]
    assert [line for line in told if " 403 GET " not in line] == []
    text = hub.api("GET", "../metrics").text
    counted = [line for line in text.splitlines() if line.startswith("jupyterhub_request_duration_seconds_count")]
    assert [line for line in counted if "MetricsHandler" in line and 'code="200"' in line]


def test_nothing_that_is_about_to_go_away_is_used(hub: Hub) -> None:
    log = hub.log.read_text()
    # NativeAuthenticator uses a database session that is.
    assert [line for line in log.splitlines() if "deprecated" in line and "Authenticator.db" not in line] == []
