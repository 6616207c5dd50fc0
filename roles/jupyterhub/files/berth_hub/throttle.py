"""How often one source may fail before it has to wait; in memory, of bounded size."""

import ipaddress
import math
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from tornado import web

SOURCES_MAX = 10_000
"""Sources remembered at once, about 2 MB: beyond them the oldest is forgotten."""


class Throttle:
    """Counts by source, each in a window of its own that begins with its first attempt.

    An attempt is counted when it begins and taken back when it went well, so that a thousand that come in at once are
    not all let through before the first has failed.
    """

    def __init__(
        self,
        limit: int,
        window_seconds: float,
        sources_max: int = SOURCES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: limit: attempts in a window; sources_max: sources remembered at once; clock: of seconds."""
        self.limit = limit
        self.window_seconds = window_seconds
        self._sources_max = sources_max
        self._clock = clock
        # Source -> (when its window began, attempts in it); the oldest window first.
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, source: str) -> int:
        """For how long, in whole seconds, that source must wait; 0 if it may try now."""
        began, count = self._window(source)
        if count < self.limit:
            return 0
        return max(1, math.ceil(began + self.window_seconds - self._clock()))

    def take(self, source: str) -> int:
        """Count an attempt unless the source must wait; returns for how long it must, 0 if it was counted."""
        wait = self.wait_seconds(source)
        if wait == 0:
            began, count = self._window(source)
            self._windows[source] = (began, count + 1)
            while len(self._windows) > self._sources_max:
                self._windows.popitem(last=False)
        return wait

    def give_back(self, source: str) -> None:
        """Take back one attempt that was counted: it went well."""
        began, count = self._window(source)
        if count > 1:
            self._windows[source] = (began, count - 1)
        else:
            self._windows.pop(source, None)

    def forget(self, source: str) -> None:
        """Let that source try again at once."""
        self._windows.pop(source, None)

    def __len__(self) -> int:
        """Sources that are remembered."""
        return len(self._windows)

    def _window(self, source: str) -> tuple[float, int]:
        now = self._clock()
        began, count = self._windows.get(source, (now, 0))
        if now - began >= self.window_seconds:
            del self._windows[source]
            return now, 0
        return began, count


def too_many(wait: int) -> web.HTTPError:
    """Build the answer 429 with Retry-After. Args: wait: seconds until the next attempt may be made."""
    minutes = math.ceil(wait / 60)
    error = web.HTTPError(
        429,
        f"Too many attempts from your address: try again in {minutes} minute{'s' if minutes > 1 else ''}.",
        reason="Too Many Requests",
    )
    error.headers = {"Retry-After": str(wait)}  # type: ignore[attr-defined]  # JupyterHub sends these
    return error


def source_address(request: Any, fronts: Iterable[str] = ()) -> str:
    """Where a request comes from, as something to count by.

    The forwarded address is believed only if the connection comes from this host itself, as the proxy's do: berths
    reach the hub directly and may write into headers what they like. IPv6 addresses count by their /64, which is what
    one customer has at least.

    Args:
        request: tornado's request.
        fronts: addresses and networks of the site's own proxies before Berth's, whose word is taken.
    """
    address = _peer(request)
    if _is_of_this_host(address):
        networks = [ipaddress.ip_network(front, strict=False) for front in fronts]
        hops = ",".join(request.headers.get_list("X-Forwarded-For")).split(",")
        # Each proxy appends whom it was asked by: the last that is none of ours is the client.
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            found = _parsed(hop)
            if found is None:
                break
            address = str(found)
            if not any(found in network for network in networks):
                break
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address


def _peer(request: Any) -> str:
    # Not `remote_ip`, which tornado has set from the headers already.
    connection = request.connection.stream.socket
    try:
        return str(connection.getpeername()[0]) if connection is not None else ""
    except OSError:  # the client has hung up
        return ""


def _is_of_this_host(address: str) -> bool:
    # Any address of the host, not only the one that the hub listens at: the engine's masquerading gives the proxy's
    # connections another one. An address can be bound exactly if it is one's own.
    parsed = _parsed(address)
    if parsed is None:
        return False
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((str(parsed), 0))
    except OSError:
        return False
    return True


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
