"""Questions to Prometheus, from the hub itself: browsers never reach it."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.simple_httpclient import HTTPTimeoutError

TIMEOUT_SECONDS = 10


class NoAnswerError(Exception):
    """Prometheus is not there, or does not understand."""


@dataclass(frozen=True)
class Series:
    """Values of one thing over time.

    Attributes:
        labels: What it is of.
        points: Seconds since 1970, and the value.
    """

    labels: dict[str, str]
    points: list[tuple[float, float]]


class Prometheus:
    """Prometheus's HTTP API."""

    def __init__(self, url: str) -> None:
        """Args: url: its address, without a path."""
        self._url = url

    async def now(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Present values with their labels.

        Raises:
            NoAnswerError: if there are none to be had.
        """
        data = await self._ask("query", {"query": query})
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    async def over(self, query: str, start: float, end: float, step: int) -> list[Series]:
        """Values from `start` to `end`, in seconds since 1970, every `step` seconds.

        Raises:
            NoAnswerError: if there are none to be had.
        """
        data = await self._ask("query_range", {"query": query, "start": start, "end": end, "step": step})
        return [
            Series(one["metric"], [(float(moment), float(value)) for moment, value in one["values"]])
            for one in data["result"]
        ]

    async def alerts(self) -> list[dict[str, str]]:
        """Alerts that fire: name, severity, summary, description, since.

        Raises:
            NoAnswerError: if it does not tell.
        """
        data = await self._ask("alerts", {})
        return [
            {
                "name": one["labels"]["alertname"],
                "severity": one["labels"].get("severity", "warning"),
                "summary": one["annotations"].get("summary", one["labels"]["alertname"]),
                "description": one["annotations"].get("description", ""),
                "since": one["activeAt"],
            }
            for one in data["alerts"]
            if one["state"] == "firing"
        ]

    async def _ask(self, what: str, arguments: dict[str, Any]) -> Any:
        try:
            answer = await AsyncHTTPClient().fetch(
                f"{self._url}/api/v1/{what}?{urlencode(arguments)}",
                request_timeout=TIMEOUT_SECONDS,
                connect_timeout=TIMEOUT_SECONDS,
            )
            return json.loads(answer.body)["data"]
        except (HTTPClientError, HTTPTimeoutError, OSError, ValueError, KeyError) as error:
            raise NoAnswerError(f"{self._url}: {error}") from None
