"""What the exporter tells of berths, disks and the certificate."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import os
import socket
import socketserver
import ssl
import threading
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from berth_monitoring import backups, certificate, cgroups, engine, exporter
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from berth_monitoring.settings import Settings

ID = "ab" * 32


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(content)


@pytest.mark.parametrize("place", ["docker/{id}", "system.slice/docker-{id}.scope"])
def test_use_with_cgroups_version_1(tmp_path: Path, place: str) -> None:
    where = place.format(id=ID)
    write(
        tmp_path / "memory" / where,
        memory__usage_in_bytes="1000\n",
        memory__limit_in_bytes="4000\n",
        memory__stat="inactive_file 1\ntotal_inactive_file 300\n",
    )
    write(tmp_path / "cpu" / where, cpu__cfs_quota_us="150000\n", cpu__cfs_period_us="100000\n")
    write(tmp_path / "cpuacct" / where, cpuacct__usage="2500000000\n")
    write(tmp_path / "pids" / where, pids__current="7\n")
    assert cgroups.use(ID, tmp_path) == cgroups.Use(700, 4000, 2.5, 1.5, 7)
    (tmp_path / "cpu" / where / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "memory" / where / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert cgroups.use(ID, tmp_path) == cgroups.Use(700, None, 2.5, None, 7)


@pytest.mark.parametrize("place", ["docker/{id}", "system.slice/docker-{id}.scope"])
def test_use_with_cgroups_version_2(tmp_path: Path, place: str) -> None:
    (tmp_path / "cgroup.controllers").touch()
    group = tmp_path / place.format(id=ID)
    write(
        group,
        memory__current="1000\n",
        memory__max="4000\n",
        memory__stat="file 9\ninactive_file 300\n",
        cpu__stat="usage_usec 2500000\nuser_usec 1\n",
        cpu__max="150000 100000\n",
        pids__current="7\n",
    )
    assert cgroups.use(ID, tmp_path) == cgroups.Use(700, 4000, 2.5, 1.5, 7)
    (group / "cpu.max").write_text("max 100000\n")
    (group / "memory.max").write_text("max\n")
    assert cgroups.use(ID, tmp_path) == cgroups.Use(700, None, 2.5, None, 7)


def test_a_container_that_has_just_ended_has_no_use(tmp_path: Path) -> None:
    assert cgroups.use(ID, tmp_path) is None
    (tmp_path / "cgroup.controllers").touch()
    assert cgroups.use(ID, tmp_path) is None


class Engine(socketserver.ThreadingUnixStreamServer):
    """Answers as the engine does; the last path that it was asked is kept."""

    asked = ""
    listed: Any = ()


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.asked = self.path  # type: ignore[attr-defined]
            content = json.dumps(self.server.listed).encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None: ...

        def address_string(self) -> str:
            return "unix"

    path = str(tmp_path / "docker.sock")
    monkeypatch.setattr(engine, "SOCKET", path)
    monkeypatch.setattr(engine.berths, "__defaults__", (path,))
    with Engine(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_berths_are_the_engines_containers_by_that_name(docker: Engine) -> None:
    docker.listed = [
        {"Id": "2", "Names": ["/berth-bob"]},
        {"Id": "3", "Names": ["/postgres"]},
        {"Id": "1", "Names": ["/berth-alice.second"]},
    ]
    assert engine.berths("berth") == [engine.Berth("alice.second", "1"), engine.Berth("bob", "2")]
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(docker.asked).query)
    assert json.loads(asked["filters"][0])["network"] == ["berth"]


def test_an_engine_that_answers_nonsense_counts_as_none(docker: Engine, tmp_path: Path) -> None:
    docker.listed = None
    with pytest.raises((OSError, TypeError)):
        engine.berths("berth")
    with pytest.raises(OSError, match="No such file"):
        engine.berths("berth", tmp_path / "missing")


def test_what_prometheus_reads(
    docker: Engine, make: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.listed = [{"Id": ID, "Names": ['/berth-a"b']}]
    monkeypatch.setattr(cgroups, "use", lambda _: cgroups.Use(700, 4000, 2.5, None, 7))
    settings = make(tls_address="", homes_every_seconds=0, places=[str(tmp_path), str(tmp_path / "none")])
    text = exporter.Exporter(settings).text()
    assert 'berth_memory_bytes{berth="a\\"b"} 700\n' in text
    assert "# TYPE berth_cpu_seconds_total counter\n" in text
    assert "berth_engine_up 1\n" in text
    assert "berth_cpu_limit" not in text
    assert "berth_certificate" not in text
    space = os.statvfs(tmp_path)
    size = next(line for line in text.splitlines() if line.startswith("berth_disk_size_bytes"))
    assert 0 < int(size.split()[-1]) <= space.f_blocks * space.f_frsize
    assert text.count("\nberth_disk_size_bytes{") == 1


def test_without_engine_the_rest_is_told(make: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> list[engine.Berth]:
        raise ConnectionRefusedError

    monkeypatch.setattr(engine, "berths", none)
    text = exporter.Exporter(make(tls_address="", places=["/"])).text()
    assert "berth_engine_up 0\n" in text
    assert "berth_running" not in text
    assert "berth_disk_size_bytes" in text


def test_sizes_of_homes(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice" / "data").write_bytes(b"x" * 200_000)
    (tmp_path / "bob").mkdir()
    (tmp_path / ".snapshots" / "alice").mkdir(parents=True)
    homes = exporter.Homes(str(tmp_path), 3600)
    homes.measure()
    assert set(homes.sizes) == {"alice", "bob"}
    assert homes.sizes["alice"] - homes.sizes["bob"] >= 200_000


def test_a_costly_value_is_remembered_and_may_be_missing() -> None:
    calls = []

    def get() -> float:
        calls.append(1)
        raise OSError("nothing there")

    remembered = exporter.Remembered(get, 3600)
    assert remembered.value() is None
    assert remembered.value() is None
    assert len(calls) == 1


def test_the_certificate_that_is_served_even_if_it_has_expired(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub.example.org")])
    end = dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - dt.timedelta(days=1))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "both.pem").write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert certificate.expires(address, "hub.example.org") == end.timestamp()
    with pytest.raises(OSError):  # noqa: PT011 (refused or reset, as the system likes)
        certificate.expires(address, "hub.example.org")


def test_figures_of_backups(tmp_path: Path) -> None:
    settings, results = tmp_path / "backup.json", tmp_path / "results.json"
    assert backups.figures(settings, results) == {}
    settings.write_text(json.dumps({"overdue_hours": 2}), encoding="utf-8")
    results.write_text(json.dumps({"since": "1970-01-01T00:00:10+00:00"}), encoding="utf-8")
    assert backups.figures(settings, results) == {"failed": 0, "damaged": 0, "due_seconds": 7210}
    good = {"result": "ok", "ended": "1970-01-01T01:00:00+00:00", "bytes": 5}
    bad = {"result": "failed"}
    results.write_text(json.dumps({"since": "x", "good": good, "backup": bad, "verify": bad}), encoding="utf-8")
    expected = {"failed": 1, "damaged": 1, "due_seconds": 3600 + 7200, "good_seconds": 3600, "good_bytes": 5}
    assert backups.figures(settings, results) == expected
