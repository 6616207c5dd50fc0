"""A name below the hub's for each user's servers, so that browsers part users from each other and from the hub."""

import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool

from berth_hub.settings import Settings
from berth_hub.traces import TracedSpawner

_PLAIN = re.compile(r"(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Names that may serve as they are: labels as RFC 1123 has them, but those of digits alone."""


def label(name: str) -> str:
    """The label of a user's name below the hub's.

    A plain name stands for itself. Any other is written with letters and digits of it, and the first 64 bits of its
    SHA-256; two hyphens tell it from a plain one. JupyterHub's own "idna" keeps 28 bits, for which another name that
    gets the same label is found in a minute: whoever may choose a name would share an origin with somebody else.

    Args:
        name: The user's name, whatever it is.
    """
    if _PLAIN.fullmatch(name) and "--" not in name:
        return name
    readable = "".join(re.findall(r"[a-z0-9]+", name.lower()))[:24]
    # With "u-" before it, the hyphens are never third and fourth: RFC 5891 keeps those for its own.
    return f"u-{readable or 'x'}--{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def name_below(name: str, domain: str, kind: str) -> str:
    """JupyterHub's `subdomain_hook`: the whole name of a user's or a service's servers.

    Args:
        name: The user's or service's.
        domain: The hub's.
        kind: `user` or `service`.
    """
    # No user's name holds a "/".
    return f"{label(name if kind == 'user' else f'{kind}/{name}')}.{domain}"


class PartedSpawner(TracedSpawner):
    """Knows after a restart of the hub which name its server was started for."""

    parted = Bool(config=True, help="Whether each user's servers are on a name of their own.")

    _started_for = ""

    def get_state(self) -> dict[str, Any]:
        """As all spawners', with the name."""
        state = super().get_state()
        return {**state, "started_for": self._started_for} if self._started_for else state

    def load_state(self, state: dict[str, Any]) -> None:
        """As all spawners'; a server without a name was started when users had none."""
        super().load_state(state)
        self._started_for = state.get("started_for", "")

    def clear_state(self) -> None:
        """As all spawners': the server has ended."""
        super().clear_state()
        self._started_for = ""

    async def start(self) -> Any:
        """Start the server, for the name that its user has now."""
        self._started_for = self._name()
        return await super().start()

    async def poll(self) -> Any:
        """None while the server runs; one that was started for another name is stopped now, and runs no longer.

        It could not be used: whoever comes to it is sent to log in, and from there to that other name.
        """
        status = await super().poll()
        if status is None and self._started_for != self._name():
            before, now = (name or "the hub's own name" for name in (self._started_for, self._name()))
            self.log.warning("Stopping the server of %s: it was started for %s, not %s", self.user.name, before, now)
            await self.stop()
            return f"started for {before}"
        return status

    def _name(self) -> str:
        return urlsplit(self.public_url).hostname or "" if self.parted else ""


def configure_subdomains(c: Any, settings: Settings) -> None:
    """Set the traits that names of users are about, where the site wants them."""
    if not settings.subdomains:
        return
    address = urlsplit(settings.public_url)
    c.JupyterHub.subdomain_host = settings.public_url
    c.JupyterHub.subdomain_hook = name_below
    c.BerthSpawner.parted = True
    # JupyterHub's own "/" would answer at every name: its pages would be of one origin with a user's.
    c.JupyterHub.hub_routespec = f"{address.hostname}{settings.base_url}"
    # Browsers take such a cookie from the very name alone: no server can plant the hub's. They want HTTPS for it.
    c.JupyterHub.cookie_host_prefix_enabled = address.scheme == "https"
