"""The hub's REST API as an OpenAPI document, made from what its handlers answer to, and requests that fit nothing.

JupyterHub's package has no such document.
"""

import re
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jupyterhub.apihandlers import default_handlers
from schemathesis.core.result import Ok
from tornado.web import RequestHandler

METHODS = ("get", "post", "put", "patch", "delete")
GROUP = re.compile(r"\((?!\?)[^()]*\)")

OURS = {"/api/berth/users": ("get", "post")}
"""Berth's own part of it."""

LEFT_OUT = ("/progress", "/oauth2/", "/shutdown", "/authorizations/")
"""Streams, which end when a server has started; the log-in, which is not for programs; the hub's end; and what is left
of an older interface of JupyterHub's, which answers 500 to a request that lacks a token."""

KEYS = (
    *("name", "usernames", "users", "admin", "groups", "state", "password", "options", "roles", "scopes", "expires_in"),
    *("note", "servers", "last_activity", "user", "group", "properties", "auth_model", "code", "remove", "active"),
)
"""What requests have in them."""


class Api:
    """Requests to every operation of the hub's."""

    def __init__(self, *names: str) -> None:
        """Args: names: as for `document`."""
        schema = schemathesis.openapi.from_dict(document(list(names)))
        self._operations = {}
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            self._operations[operation.label] = operation

    def labels(self) -> list[str]:
        """Each operation's method and path."""
        return list(self._operations)

    def fuzz(self, label: str, send: Callable[[schemathesis.Case[Any]], Any], examples: int) -> None:
        """Send requests to an operation, the same ones every time.

        Args:
            label: Which operation.
            send: Sends one, and raises what is wrong with its answer.
            examples: How many.
        """

        @given(case=self._operations[label].as_strategy())
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def run(case: schemathesis.Case[Any]) -> None:
            send(case)

        run()


def document(names: list[str]) -> dict[str, Any]:
    """Describe every path of the hub.

    Args:
        names: What stands in a path now and then instead of anything at all: users, groups and servers that there are.
    """
    paths: dict[str, Any] = {}
    for pattern, handler, *_ in default_handlers:
        methods = [one for one in METHODS if getattr(handler, one) is not getattr(RequestHandler, one)]
        paths |= _described(pattern, methods, names)
    for path, ours in OURS.items():
        paths |= _described(path, list(ours), names)
    return {"openapi": "3.0.3", "info": {"title": "JupyterHub", "version": "6"}, "paths": paths}


def _described(pattern: str, methods: list[str], names: list[str]) -> dict[str, Any]:
    if any(part in pattern for part in LEFT_OUT):
        return {}
    # An optional end, as in `/x(?:/([^/]+))?`, is left away.
    path = re.sub(r"\(\?:.*\)\?$", "", pattern).removesuffix("?").rstrip("/")
    count = 0

    def numbered(_: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"{{part{count}}}"

    path = GROUP.sub(numbered, path)
    parts = [_parameter(f"part{number + 1}", "path", _one_of(names)) for number in range(count)]
    query = [
        _parameter(name, "query", {"type": "string"})
        for name in ("offset", "limit", "state", "include_stopped_servers")
    ]
    anything = {"description": "whatever it says"}
    described = {}
    for method in methods:
        described[method] = {"parameters": [*parts, *query], "responses": {"default": anything}}
        if method != "get":
            described[method]["requestBody"] = {"content": {"application/json": {"schema": _body(names)}}}
    return {path: described}


def _parameter(name: str, where: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema}


def _one_of(names: list[str]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "enum": names}, {"type": "string", "minLength": 1, "maxLength": 300}]}


def _body(names: list[str]) -> dict[str, Any]:
    """An object with keys that the hub knows and values of any kind; or anything else."""
    value = {"anyOf": [_one_of(names), {"type": "array", "items": _one_of(names)}, {}]}
    return {"anyOf": [{"type": "object", "properties": dict.fromkeys(KEYS, value)}, {}]}
