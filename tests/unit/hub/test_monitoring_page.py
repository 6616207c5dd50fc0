"""Who sees the status page of a running hub, and what it says when monitoring is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

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
