"""A policy, what docker-py asks for under it, and the broker as a process before an engine that takes notes."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
from berth_dock.policy import policy_of
from berth_hub.settings import Berth, Settings

from tests.unit.hub.conftest import SETTINGS, changed, wait_until, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from berth_dock.policy import Policy

ROOT = Path(__file__).parents[3]
LIBRARIES = ("roles/broker/files", "roles/jupyterhub/files", "roles/user_homes/files")


def make_places(root: Path) -> Path:
    """Directories as a host has them: three homes and two that are none, what is shared, two folders."""
    for name in ("homes/alice", "homes/bob", "homes/dot.ted", "shared", "folders/data", "folders/team", "else"):
        (root / name).mkdir(parents=True)
    (root / "homes/linked").symlink_to("/etc")
    (root / "homes/file").touch()
    return root


def settings_for(places: Path) -> dict[str, Any]:
    """Settings with a profile, a group that has more than others, and shared folders."""
    return changed(
        shared_directory=str(places / "shared"),
        options={
            "gpus": 1,
            "profiles": [{"name": "large", "image": "site/large:2", "memory": "4G"}],
            "groups": {"staff": {"cpus": 3}},
            "folders": [
                {"name": "data", "path": str(places / "folders/data")},
                {"name": "team", "path": str(places / "folders/team"), "mode": "group-writable"},
            ],
        },
        broker={"images": ["site/other@sha256:00"]},
    )


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Directories as a host has them."""
    return make_places(tmp_path)


@pytest.fixture
def policy(places: Path) -> Policy:
    """What follows from the settings."""
    return policy_of(Settings.model_validate(settings_for(places)), places / "homes")


SCRATCH = Berth.model_validate(SETTINGS["berth"]).scratch


def asked(places: Path, user: str = "alice", **host: Any) -> dict[str, Any]:
    """What docker-py sends for a berth, by the arguments that DockerSpawner gives it."""
    client = docker.APIClient(base_url="unix:///nonexistent", version="1.41")
    home, shared, team = (places / name for name in (f"homes/{user}", "shared", "folders/team"))
    arguments: dict[str, Any] = {
        "binds": {
            str(home): {"bind": "/home/jovyan", "mode": "rw"},
            str(team): {"bind": "/home/jovyan/shared/team", "mode": "rw"},
            str(shared): {"bind": "/opt/berth/shared", "mode": "ro"},
        },
        "links": {},
        "mounts": [],
        "auto_remove": False,
        "mem_limit": 2 * 1024**3,
        "memswap_limit": 2 * 1024**3,
        "cpu_period": 100_000,
        "cpu_quota": 150_000,
        "pids_limit": 512,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "read_only": True,
        "tmpfs": SCRATCH,
        "network_mode": "berth",
    }
    made: dict[str, Any] = client.create_container_config(
        image="berth/notebook:1",
        environment={"JUPYTERHUB_API_TOKEN": "secret", "LINES": "a\nb"},
        volumes=["/home/jovyan", "/opt/berth/shared"],
        command=["/opt/berth/shared/start", "jupyterhub-singleuser"],
        ports={"8888/tcp": None},
        labels={"berth.home": user},
        host_config=client.create_host_config(**arguments | host),
    )
    sent: dict[str, Any] = json.loads(json.dumps(made))
    return sent


@dataclass
class FakeEngine:
    """Remembers what it is asked, and knows the containers that it is told of."""

    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: str = "1.47"

    def answer(self, method: str, path: str, content: Any) -> tuple[int, Any]:
        """As an engine does, as far as the tests need it."""
        self.asked.append((method, path, content))
        if path == "/version":
            return 200, {"ApiVersion": self.version, "MinAPIVersion": "1.24", "Secret": "of the engine"}
        if "/containers/create" in path:
            return 201, {"Id": "made", "Warnings": []}
        if "/containers/json" in path:
            return 200, [{"Id": name, "Names": [f"/{name}"]} for name in self.containers]
        if method == "GET" and path.endswith("/json"):
            found = self.containers.get(path.split("/")[3])
            return (200, found) if found else (404, {"message": "no such container"})
        return 204, None

    def changes(self) -> list[tuple[str, str]]:
        """What was asked beyond looking."""
        return [(method, path) for method, path, _ in self.asked if method != "GET"]


def container(name: str, *, network: str = "berth", broker: bool = True) -> dict[str, Any]:
    """How an engine describes one."""
    labels = {"berth.home": "alice"} | ({"berth.broker": "1"} if broker else {})
    return {
        "Id": f"id-of-{name}",
        "Name": f"/{name}",
        "HostConfig": {"NetworkMode": network},
        "Config": {"Labels": labels},
    }


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def serve_engine(path: Path) -> Iterator[FakeEngine]:
    """An engine on a socket."""
    fake = FakeEngine()

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            status, content = fake.answer(self.command, self.path, json.loads(body) if body else None)
            answer = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = handle_any  # noqa: N815 (http.server's names)

        def address_string(self) -> str:
            return "broker"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
            pass

    server = _Server(str(path), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()


@dataclass
class Broker:
    """A broker that runs."""

    hub: Path
    look: Path
    log: Path
    settings: Path
    places: Path
    engine: FakeEngine

    def reset(self) -> None:
        """Go back to the settings that all tests begin with, and to an engine that has nothing."""
        self.write_settings(settings_for(self.places))
        self.engine.containers.clear()
        self.engine.asked.clear()

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Replace the settings' file, as a converge does."""
        new = self.settings.with_suffix(".new")
        new.write_text(json.dumps(settings), encoding="utf-8")
        new.replace(self.settings)

    def refusals(self) -> int:
        """How many are in the journal."""
        return self.log.read_text(encoding="utf-8").count("refused: ")

    def ask(self, method: str, path: str, content: Any = None, *, door: Path | None = None) -> tuple[int, Any]:
        """Ask by a client that knows its manners; returns status and decoded body."""
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        connection = http.client.HTTPConnection("broker", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(20)
        connection.sock.connect(str(door or self.hub))
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=False)
            connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            answer = connection.getresponse()
            text = answer.read()
        return answer.status, json.loads(text) if text else None

    def say(self, raw: bytes, *, and_leave: bool = True) -> bytes:
        """Send bytes as they are, and return all that comes until the connection is closed."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.hub))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not hear all of it
                connection.sendall(raw)
            if and_leave:
                connection.shutdown(socket.SHUT_WR)
            parts = []
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    parts.append(part)
        return b"".join(parts)


@contextlib.contextmanager
def serve_broker(root: Path, places: Path, engine: FakeEngine) -> Iterator[Broker]:
    """The broker's own process, with sockets handed over as systemd does; its engine is on `engine.sock`."""
    made = Broker(
        root / "hub.sock", root / "look.sock", root / "log", write_settings(root / "hub.json"), places, engine
    )
    made.reset()
    listening = []
    for path in (made.hub, made.look):
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(path))
        one.listen()
        listening.append(one)
    # Started as systemd does it: descriptors 3 and 4 are the sockets.
    script = 'exec 3<&"$1" 4<&"$2"; shift 2; export LISTEN_PID=$$; exec "$@"'
    command = [
        sys.executable,
        "-m",
        "berth_dock",
        "--settings",
        str(made.settings),
        "--engine",
        str(root / "engine.sock"),
    ]
    with made.log.open("wb") as log:
        process = subprocess.Popen(
            [
                "bash",
                "-c",
                script,
                "bash",
                *(str(one.fileno()) for one in listening),
                *command,
                "--homes",
                places / "homes",
            ],
            env={
                **os.environ,
                "PYTHONPATH": ":".join(str(ROOT / library) for library in LIBRARIES),
                "LISTEN_FDNAMES": "hub:look",
                "LISTEN_FDS": "2",
            },
            pass_fds=[one.fileno() for one in listening],
            stderr=log,
        )
    for one in listening:
        one.close()
    try:
        wait_until(lambda: made.ask("GET", "/version")[0] == 200, "the broker answers")
        yield made
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def one_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for all tests of a module."""
    root = tmp_path_factory.mktemp("broker")
    with serve_engine(root / "engine.sock") as engine, serve_broker(root, make_places(root / "host"), engine) as made:
        yield made


@pytest.fixture
def broker(one_broker: Broker) -> Broker:
    """A broker that knows the settings, before an engine with no container that was not asked for anything."""
    one_broker.reset()
    return one_broker
