"""What can be asked for: each request is matched with one of these, or refused."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from berth_dock.creation import BROKER_LABEL, HOME_LABEL, rebuild
from berth_dock.engine import Answer
from berth_dock.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from berth_dock.engine import Engine
    from berth_dock.policy import Policy

NEWEST_VERSION = (1, 45)
"""Of the engine's interface, that these operations were written for; an older engine is asked in its own."""

PREFIX = "berth-"
STOP_SECONDS_MAX = 60
LOG_LINES_MAX = 1000

_PATH = re.compile(r"(?:/v(1)\.([0-9]{1,3}))?(/[A-Za-z0-9_./-]*)")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,399}")
_OF_ONE = re.compile(rf"/containers/({_NAME.pattern})(|/[a-z]+)")
_STATES = frozenset({"created", "restarting", "running", "removing", "paused", "exited", "dead"})
_LABEL = re.compile(re.escape(HOME_LABEL) + r"(=[a-z0-9][a-z0-9._-]{0,99})?")


@dataclass(frozen=True)
class Request:
    """What a client asks: `query` has the parameters as they were decoded, each once."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""


class Operations:
    """Carries requests out, as far as they are allowed."""

    def __init__(self, engine: Engine, policy: Callable[[], Policy]) -> None:
        """Args: engine: the real one; policy: tells what holds now."""
        self._engine = engine
        self._policy = policy
        self._known_version = ""

    def carry_out(self, request: Request) -> Answer:
        """Do what a hub may.

        Raises:
            Refused: if it is none of its business.
            OSError: if the engine does not answer, or there are no settings.
            ValueError: if the settings are wrong.
        """
        method, path = request.method, self._path(request)
        general: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "/version"): self._version,
            ("GET", "/containers/json"): self._listed,
            ("POST", "/containers/create"): self._create,
        }
        if operation := general.get((method, path)):
            return operation(request)
        of_one: dict[tuple[str, str], Callable[[str, Request], Answer]] = {
            ("GET", "/json"): self._inspect,
            ("GET", "/logs"): self._logs,
            ("POST", "/start"): self._start,
            ("POST", "/stop"): self._stop,
            ("POST", "/pause"): partial(self._freeze, "pause"),
            ("POST", "/unpause"): partial(self._freeze, "unpause"),
            ("DELETE", ""): self._remove,
        }
        found = _OF_ONE.fullmatch(path)
        if found and (operation_of_one := of_one.get((method, found[2]))):
            return operation_of_one(found[1], request)
        raise Refused("is nothing that a berth needs")

    def look(self, request: Request) -> Answer:
        """Do what may be done by who only looks: list the berths.

        Raises:
            Refused: for everything else.
            OSError: as `carry_out`.
            ValueError: as `carry_out`.
        """
        if (request.method, self._path(request)) != ("GET", "/containers/json"):
            raise Refused("is not for who only looks")
        return self._listed(request)

    def _path(self, request: Request) -> str:
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise Refused("is no path of the engine's")
        if found[1] and f"{found[1]}.{found[2]}" != self._interface():
            raise Refused(f"is not in version {self._interface()}", HTTPStatus.BAD_REQUEST)
        return found[3]

    def _interface(self) -> str:
        """The version that clients and engine are spoken to in, asked once."""
        if not self._known_version:
            told = str(self._engine.ask("GET", "/version").json().get("ApiVersion", ""))
            if not (found := re.fullmatch(r"1\.([0-9]{1,3})", told)):
                raise OSError(f'the engine tells of no version: "{told[:20]}"')
            self._known_version = "{}.{}".format(*min((1, int(found[1])), NEWEST_VERSION))
        return self._known_version

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        content: object = None,
        *,
        timeout: int = 60,
    ) -> Answer:
        return self._engine.ask(method, f"/v{self._interface()}{path}", query, content, timeout=timeout)

    def _version(self, request: Request) -> Answer:
        _parameters(request)
        version = self._interface()
        return _json({"Version": "berth-dock", "ApiVersion": version, "MinAPIVersion": version})

    def _listed(self, request: Request) -> Answer:
        asked = _parameters(request, "all", "filters", "limit", "size", "trunc_cmd")
        filters = _filters(asked.get("filters", "{}"))
        query = {"all": _flag(asked, "all"), "filters": json.dumps(filters | {"network": [self._policy().network]})}
        answer = self._ask("GET", "/containers/json", query)
        if answer.status != HTTPStatus.OK:
            return answer
        names = f"/{PREFIX}"
        return _json([one for one in answer.json() if any(name.startswith(names) for name in one.get("Names") or [])])

    def _create(self, request: Request) -> Answer:
        name = _parameters(request, "name").get("name", "")
        if not _NAME.fullmatch(name):
            raise Refused("has no name of a berth's container")
        content = rebuild(name, request.body, self._policy())
        return self._ask("POST", "/containers/create", {"name": name}, content)

    def _own(self, name: str) -> tuple[dict[str, Any], Answer]:
        """A container of Berth's, and the engine's answer about it; 404 if there is none of that name.

        What another container is called is not to be found out: it is as if there were none.
        """
        answer = self._ask("GET", f"/containers/{name}/json")
        if answer.status == HTTPStatus.OK:
            found: dict[str, Any] = answer.json()
            network = found.get("HostConfig", {}).get("NetworkMode")
            if found.get("Name", "").startswith(f"/{PREFIX}") and network == self._policy().network:
                return found, answer
        elif answer.status != HTTPStatus.NOT_FOUND:
            raise OSError(f"the engine answered {answer.status}: {answer.body[:200].decode(errors='replace')}")
        raise Refused(f"No such container: {name}", HTTPStatus.NOT_FOUND)

    def _inspect(self, name: str, request: Request) -> Answer:
        _parameters(request)
        return self._own(name)[1]

    def _start(self, name: str, request: Request) -> Answer:
        _parameters(request)
        _no_body(request)
        found, _ = self._own(name)
        # What was made before there was a broker may have been made otherwise.
        if BROKER_LABEL not in (found.get("Config", {}).get("Labels") or {}):
            raise Refused("was not made here: remove it and make it anew")
        return self._ask("POST", f"/containers/{found['Id']}/start")

    def _stop(self, name: str, request: Request) -> Answer:
        seconds = _count(_parameters(request, "t"), "t", 10, STOP_SECONDS_MAX)
        _no_body(request)
        found, _ = self._own(name)
        return self._ask("POST", f"/containers/{found['Id']}/stop", {"t": str(seconds)}, timeout=seconds + 60)

    def _freeze(self, what: str, name: str, request: Request) -> Answer:
        _parameters(request)
        _no_body(request)
        found, _ = self._own(name)
        return self._ask("POST", f"/containers/{found['Id']}/{what}")

    def _remove(self, name: str, request: Request) -> Answer:
        asked = _parameters(request, "v", "force", "link")
        if _flag(asked, "link") == "true":
            raise Refused("link is not for berths")
        found, _ = self._own(name)
        query = {"v": _flag(asked, "v"), "force": _flag(asked, "force")}
        return self._ask("DELETE", f"/containers/{found['Id']}", query)

    def _logs(self, name: str, request: Request) -> Answer:
        asked = _parameters(request, "stdout", "stderr", "tail", "timestamps", "follow", "since", "until")
        if _flag(asked, "follow") == "true" or {asked.get("since", "0"), asked.get("until", "0")} != {"0"}:
            raise Refused("logs are given by their last lines only")
        found, _ = self._own(name)
        lines = asked.get("tail", "all")
        query = {key: _flag(asked, key) for key in ("stdout", "stderr", "timestamps")}
        query["tail"] = str(LOG_LINES_MAX if lines == "all" else _count(asked, "tail", 0, LOG_LINES_MAX))
        return self._ask("GET", f"/containers/{found['Id']}/logs", query)


def _json(content: object) -> Answer:
    return Answer(HTTPStatus.OK, "application/json", json.dumps(content).encode())


def _parameters(request: Request, *known: str) -> Mapping[str, str]:
    for name in request.query:
        if name not in known:
            raise Refused(f"the parameter {name[:50]!r} is not for berths")
    return request.query


def _flag(asked: Mapping[str, str], name: str) -> str:
    value = asked.get(name, "0").lower()
    if value not in ("0", "1", "true", "false", ""):
        raise Refused(f"{name} is true or false")
    return "true" if value in ("1", "true") else "false"


def _count(asked: Mapping[str, str], name: str, otherwise: int, most: int) -> int:
    value = asked.get(name, str(otherwise))
    if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) > most:
        raise Refused(f"{name} is a number of at most {most}")
    return int(value)


def _no_body(request: Request) -> None:
    # Engines of long ago took host configuration here.
    if request.body.strip() not in (b"", b"{}", b"null"):
        raise Refused("takes no body")


def _filters(text: str) -> dict[str, list[str]]:
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("filters are not JSON") from None
    if not isinstance(asked, dict):
        raise Refused("filters are no object")
    kept: dict[str, list[str]] = {}
    for name, values in asked.items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise Refused(f"the filter {str(name)[:50]!r} is no list of texts")
        if name == "label" and all(_LABEL.fullmatch(value) for value in values):
            kept["label"] = values
        elif name == "status" and set(values) <= _STATES:
            kept["status"] = values
        elif name != "network":  # which is always the berths' own
            raise Refused(f"the filter {name[:50]!r} is not for berths")
    return kept
