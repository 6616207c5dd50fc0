"""Requests that nobody thought of, to all of the API, by who may do everything: a hub does not break."""

from __future__ import annotations

from http.client import INTERNAL_SERVER_ERROR
from typing import TYPE_CHECKING, Any

import pytest
from hub_openapi import Api

from tests.unit.hub.running_hub import OPERATOR_TOKEN, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

    import schemathesis

    from tests.unit.hub.running_hub import Hub

API = Api("anna", "bert", "staff", "lab")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Running(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.mark.parametrize("operation", API.labels())
def test_api(hub: Hub, operation: str) -> None:
    headers = {"Authorization": f"token {OPERATOR_TOKEN}"}

    def send(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url=f"{hub.url}/hub", headers=headers, timeout=60)
        assert answer.status_code < INTERNAL_SERVER_ERROR, (answer.status_code, answer.text[:500])

    API.fuzz(operation, send, examples=8)
