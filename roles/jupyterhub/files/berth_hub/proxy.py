"""Routes of berths: Traefik's file provider, with a route that is usable as soon as Traefik has read it."""

import asyncio
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from jupyterhub_traefik_proxy import traefik_utils
from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from tornado.httpclient import HTTPClientError
from traitlets import default, observe

ROUTE_POLL_SECONDS = 0.02
"""Traefik applies a changed file in 0.06 to 0.2 s; the plug-in's own jittered back-off takes up to 1.3 s to notice."""


_RESERVED = re.compile(r"%(21|23|24|25|26|27|28|29|2A|2B|2C|2F|3A|3B|3D|3F|40|5B|5D)")
"""Escaped characters that RFC 3986 reserves, and the percent sign; JupyterHub escapes in upper case."""


class JsonRoutesFile:
    """Traefik's dynamic configuration as JSON, which is YAML too, and ten times as fast to write."""

    def __init__(self, path: Path) -> None:
        """Args: path: the file, in a directory that the hub may write and Traefik may read."""
        self.path = path

    def load(self) -> dict[str, Any]:
        """The routes as last written.

        Raises:
            FileNotFoundError: before the first was written.
        """
        content: dict[str, Any] = json.loads(self.path.read_text())
        return content

    def atomic_dump(self, content: dict[str, Any]) -> None:
        """Replace the file as a whole, so that Traefik never reads half of it."""
        descriptor, temporary = tempfile.mkstemp(prefix=".routes-", dir=self.path.parent)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
        new = Path(temporary)
        new.chmod(0o640)
        new.replace(self.path)


class BerthProxy(TraefikFileProviderProxy):
    """Traefik runs as its own service: routes outlive a restart of hub or proxy."""

    @default("dynamic_config_handler")
    def _default_handler(self) -> JsonRoutesFile:
        return JsonRoutesFile(Path(self.dynamic_config_file))

    @observe("dynamic_config_file")
    def _set_dynamic_config_file(self, change: Any) -> None:
        self.dynamic_config_handler = JsonRoutesFile(Path(change.new))

    def _dynamic_config_for_route(
        self, routespec: str, target: str, data: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Router and service of a route; with a rule that also suits names like `alice+tests@example.org`.

        Traefik decodes a request's path before it compares, except for reserved characters; the plug-in decodes all in
        the rule, which then never matches.
        """
        for_traefik, for_hub = super()._dynamic_config_for_route(routespec, target, data)
        (router,) = for_traefik["http"]["routers"].values()
        router["rule"] = traefik_utils.generate_rule(_RESERVED.sub(r"%25\1", routespec))
        return for_traefik, for_hub

    async def _wait_for_route(self, routespec: str) -> None:
        """Return once Traefik has the route; router and service come from one file, so that one of them tells.

        Raises:
            TimeoutError: if it does not have it within `check_route_timeout` seconds.
        """
        alias = traefik_utils.generate_alias(self.validate_routespec(routespec), "router")
        async with asyncio.timeout(self.check_route_timeout):
            while not await self._has(f"/api/http/routers/{alias}@{self.provider_name}"):
                await asyncio.sleep(ROUTE_POLL_SECONDS)

    async def _has(self, path: str) -> bool:
        try:
            await self._traefik_api_request(path)
        except HTTPClientError as error:
            if error.code == 404:
                return False
            self.log.warning("Traefik's API at %s: %s", path, error)
            return False
        except OSError as error:  # Traefik is restarting
            self.log.warning("Traefik's API at %s: %s", path, error)
            return False
        return True
