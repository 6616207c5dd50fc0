"""Requests to the world outside, through the site's proxies: tornado's own client knows none."""

import asyncio
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import requests
from requests.utils import select_proxy, should_bypass_proxies
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

CA_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""What the host trusts, the site's own CAs included; requests would bring a list of its own."""


class Outgoing(AsyncHTTPClient):
    """A client of tornado's kind that does its work with requests, beside the hub's event loop."""

    def initialize(
        self,
        defaults: dict[str, Any] | None = None,
        proxies: Mapping[str, str] | None = None,
        ca: str = CA_CERTIFICATES,
    ) -> None:
        """Args: proxies: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in either case; ca: file of the CAs that are trusted."""
        super().initialize(defaults)
        lower = {name.lower(): value for name, value in (proxies or {}).items()}
        self._proxies = {scheme: lower[f"{scheme}_proxy"] for scheme in ("http", "https") if f"{scheme}_proxy" in lower}
        self._no_proxy = lower.get("no_proxy", "")
        self._ca = ca

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        """Do what tornado asks of a client: call back with the answer, whatever it is."""
        work = asyncio.get_running_loop().run_in_executor(None, self._answer, request)
        work.add_done_callback(lambda done: callback(done.result()))

    def _answer(self, request: HTTPRequest) -> HTTPResponse:
        try:
            answer = self._ask(request)
        except (requests.RequestException, OSError) as error:
            # What curl's client of tornado answers when it got none.
            return HTTPResponse(request, 599, reason=type(error).__name__, error=error)
        return HTTPResponse(
            request,
            answer.status_code,
            HTTPHeaders(answer.headers),
            BytesIO(answer.content),
            answer.url,
            reason=answer.reason,
        )

    def _ask(self, request: HTTPRequest) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            bypassed = should_bypass_proxies(request.url, no_proxy=self._no_proxy or "none.invalid")
            proxy = None if bypassed else select_proxy(request.url, self._proxies)
            return session.request(
                request.method,
                request.url,
                data=request.body,
                headers=dict(request.headers),
                allow_redirects=bool(request.follow_redirects),
                timeout=(request.connect_timeout or 20, request.request_timeout or 20),
                verify=self._ca if request.validate_cert in (None, True) else False,
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
