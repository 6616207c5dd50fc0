"""A provider of identities on this machine: GitHub, GitLab, Google, Entra ID, any OpenID Connect, or LTI, as asked."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "berth"
CLIENT_SECRET = "the client's secret for tests"
TENANT = "11111111-2222-3333-4444-555555555555"
_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """Who logs in is whoever `user` says; what is asked of it is kept in `asked`."""

    user: dict[str, Any] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    """Paths that are answered as a membership."""
    tenant: str = TENANT
    down: bool = False
    asked: list[str] = field(default_factory=list)
    _port: int = 0
    _codes: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)

    def start(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                split = urlsplit(self.path)
                provider.get(self, split.path, {name: values[0] for name, values in parse_qs(split.query).items()})

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.token(self, {name: values[0] for name, values in parse_qs(body).items()})

            def log_message(self, *_: Any) -> None:
                pass

        # Again where it was, if it was somewhere.
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def get(self, handler: BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        if self.down:
            return _answer(handler, 502, {})
        if path == "/.well-known/openid-configuration":
            places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
            found = {name: f"{self.url}/{place}" for name, place in places.items()}
            return _answer(handler, 200, {"issuer": self.url, **found})
        if path == "/jwks":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
            return _answer(handler, 200, {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]})
        if "authorize" in path or path.endswith("/auth"):
            return self._authorize(handler, query)
        return self._tell(handler, path)

    def _authorize(self, handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = (dict(self.user), query["code_challenge"])
        handler.send_response(302)
        target = urlencode({"code": code, "state": query["state"]})
        handler.send_header("Location", f"{query['redirect_uri']}?{target}")
        handler.end_headers()

    def token(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        # Each code once, for the client that knows its secret and the browser that began.
        user, challenge = self._codes.pop(form.get("code", ""), ({}, ""))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        verified = base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge
        if not verified or (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _answer(handler, 400, {"error": "invalid_grant"})
        token = base64.urlsafe_b64encode(json.dumps(user).encode()).decode()
        claims = {**user, "aud": CLIENT_ID, "tid": self.tenant, "exp": time.time() + 60}
        answer = {"access_token": token, "token_type": "Bearer", "id_token": jwt.encode(claims, _KEY, "RS256")}
        return _answer(handler, 200, answer)

    def _tell(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        kind, _, token = handler.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            return _answer(handler, 401, {})
        if path in self.members:
            return _answer(handler, 204 if "/orgs/" in path and "/teams/" not in path else 200, {"state": "active"})
        if path.endswith(("/user", "/userinfo")):
            return _answer(handler, 200, json.loads(base64.urlsafe_b64decode(token)))
        return _answer(handler, 404, {"message": "Not Found"})

    def launch(self, nonce: str, **claims: Any) -> str:
        """A token of a learning platform."""
        lti = "https://purl.imsglobal.org/spec/lti/claim"
        now = int(time.time())
        token = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 60,
            "nonce": nonce,
            f"{lti}/message_type": "LtiResourceLinkRequest",
            f"{lti}/version": "1.3.0",
            f"{lti}/deployment_id": "1",
            f"{lti}/target_link_uri": "http://hub.example.org/hub",
            f"{lti}/resource_link": {"id": "1"},
            f"{lti}/roles": [],
            **claims,
        }
        return jwt.encode(token, _KEY, "RS256", headers={"kid": "one"})


def _answer(handler: BaseHTTPRequestHandler, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode() if status != 204 else b""
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
