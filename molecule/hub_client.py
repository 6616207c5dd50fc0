"""A hub as its operator's API and its users' servers show it; used by checks of hosts."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import websocket


def wait_until(what: Callable[[], Any], seconds: float = 60, every: float = 0.2) -> Any:
    """Return the first true answer of `what`; an exception counts as no answer yet.

    Raises:
        AssertionError: if there was none in time, with the last answer.
    """
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = what()
            if last:
                return last
        except (requests.RequestException, websocket.WebSocketException, OSError, ValueError, AssertionError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s; last answer: {last!r}")


class HubClient:
    """Everything goes through the proxy, as it does for people."""

    def __init__(self, url: str, ca: Path, operator_token: str) -> None:
        """Args: url: public address; ca: certificate that signs the proxy's; operator_token: the playbooks' token."""
        self.url = url
        self.ca = str(ca)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = self.ca
        self.operator = {"Authorization": f"token {operator_token}"}
        self._tokens: dict[str, str] = {}

    def healthy(self) -> bool:
        """Whether the hub answers."""
        return bool(self.session.get(f"{self.url}/hub/health", timeout=5).ok)

    def api(self, method: str, path: str, **more: Any) -> Any:
        """Ask the hub's API as the operator; returns the decoded answer."""
        answer = self.session.request(method, f"{self.url}/hub/api{path}", headers=self.operator, timeout=150, **more)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.text else None

    def add_users(self, *users: dict[str, Any]) -> Any:
        """Bring accounts to a state."""
        return self.api("POST", "/berth/users", json={"users": list(users)})

    def server(self, user: str) -> dict[str, Any] | None:
        """The user's running server, if any."""
        found: dict[str, Any] = self.api("GET", f"/users/{user}")
        server: dict[str, Any] | None = found["servers"].get("")
        return server

    def start(self, user: str, seconds: float = 120) -> float:
        """Start a server and wait until it is ready; returns the seconds it took."""
        began = time.monotonic()
        if not (self.server(user) or {}).get("ready"):
            self.api("POST", f"/users/{user}/server")
        while not (self.server(user) or {}).get("ready"):
            assert time.monotonic() - began < seconds, f"the server of {user} is not ready after {seconds} s"
            time.sleep(0.05)
        return time.monotonic() - began

    def stop(self, user: str, seconds: float = 60) -> None:
        """Stop a server and wait until it is gone."""
        if self.server(user) is None:
            return
        self.api("DELETE", f"/users/{user}/server")
        deadline = time.monotonic() + seconds
        while self.server(user) is not None:
            assert time.monotonic() < deadline, f"the server of {user} still runs after {seconds} s"
            time.sleep(0.05)

    def stop_all(self) -> None:
        """Stop everybody's servers, also those that sleep."""
        for user in self.api("GET", "/users"):
            if user["server"]:
                self.stop(user["name"])
        for one in self.api("GET", "/berth/sleep"):
            self.api("DELETE", f"/berth/sleep/{one['user']}")

    def token(self, user: str) -> str:
        """A token of the user's own."""
        if user not in self._tokens:
            self._tokens[user] = self.api("POST", f"/users/{user}/tokens", json={"note": "check"})["token"]
        return self._tokens[user]

    def forget_tokens(self) -> None:
        """Ask for new ones: the hub has another database now."""
        self._tokens.clear()

    def logs_in(self, name: str, password: str) -> bool:
        """Whether a person gets in by the page to log in."""
        address = f"{self.url}/hub/login"
        browser = requests.Session()
        browser.trust_env, browser.verify = False, self.ca
        browser.get(address, timeout=30)
        data = {"username": name, "password": password, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        browser.post(address, data=data, timeout=60, allow_redirects=False)
        # Who is not logged in is sent to the page to log in.
        home = browser.get(f"{self.url}/hub/home", timeout=30, allow_redirects=False)
        return home.status_code == requests.codes.ok and any("hub-login" in cookie.name for cookie in browser.cookies)

    def server_url(self, user: str) -> str:
        """Address of the user's server, without a slash at its end."""
        return f"{self.url}/user/{user}"

    def as_user(self, user: str, method: str, path: str, **more: Any) -> requests.Response:
        """Ask the user's server as the user."""
        headers = {"Authorization": f"token {self.token(user)}"}
        return self.session.request(method, f"{self.server_url(user)}{path}", headers=headers, timeout=60, **more)

    def new_kernel(self, user: str) -> str:
        """Start a kernel; returns its id."""
        answer = self.as_user(user, "POST", "/api/kernels", json={"name": "python3"})
        assert answer.ok, answer.text
        kernel: str = answer.json()["id"]
        return kernel

    def execute(
        self, user: str, kernel: str, code: str, seconds: float = 60, header: dict[str, str] | None = None
    ) -> str:
        """Run code in a kernel and return what it printed; `header` is who asks, in place of a token of the user's.

        Raises:
            AssertionError: if the code raised.
        """
        address = f"{self.server_url(user).replace('https', 'wss', 1)}/api/kernels/{kernel}/channels"
        who = dict(header or {"Authorization": f"token {self.token(user)}"})
        connection = websocket.create_connection(
            address, origin=who.pop("Origin", None), header=who, sslopt={"ca_certs": self.ca}, timeout=seconds
        )
        message = uuid.uuid4().hex
        request = {
            "header": {
                "msg_id": message,
                "msg_type": "execute_request",
                "username": user,
                "session": message,
                "version": "5.3",
            },
            "parent_header": {},
            "metadata": {},
            "content": {
                "code": code,
                "silent": False,
                "store_history": False,
                "user_expressions": {},
                "allow_stdin": False,
            },
            "channel": "shell",
        }
        printed = ""
        try:
            connection.send(json.dumps(request))
            while True:
                reply = json.loads(connection.recv())
                if reply["parent_header"].get("msg_id") != message:
                    continue
                if reply["msg_type"] == "stream":
                    printed += reply["content"]["text"]
                elif reply["msg_type"] == "error":
                    raise AssertionError("\n".join(reply["content"]["traceback"]))
                elif reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                    return printed
        finally:
            connection.close()
