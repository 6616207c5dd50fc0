"""A user's token, and requests to the whole of the hub's API that nobody thought of: it refuses, and does not break."""

from http.client import INTERNAL_SERVER_ERROR
from typing import Any

import pytest
import schemathesis
from hub_client import HubClient
from hub_openapi import Api
from testinfra.host import Host

API = Api("fuzzer", "alice", "admin", "staff", "gpu")
TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def aftermath(host: Host, hub: HubClient, people: tuple[str, str]) -> Any:
    """Afterwards everything is as it was, but for what the user did to what is theirs."""
    hub.add_users({"name": "fuzzer", "password": "a-long-enough-password"})
    before = {user["name"]: user["admin"] for user in hub.api("GET", "/users")}
    yield
    assert hub.healthy()
    assert {user["name"]: user["admin"] for user in hub.api("GET", "/users")} == before
    hub.stop("fuzzer")
    hub.add_users({"name": "fuzzer", "state": "absent"})
    running = host.check_output("docker ps --all --format '{{.Names}}' --filter network=berth").split()
    assert sorted(running) == ["berth-alice", "berth-bob"]


@pytest.mark.parametrize("operation", API.labels())
def test_api(hub: HubClient, operation: str) -> None:
    headers = {"Authorization": f"token {hub.token('fuzzer')}"}

    def send(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url=f"{hub.url}/hub", headers=headers, verify=hub.ca, timeout=TIMEOUT_SECONDS)
        assert answer.status_code < INTERNAL_SERVER_ERROR, (answer.status_code, answer.text[:500])

    API.fuzz(operation, send, examples=6)
    assert hub.healthy()
