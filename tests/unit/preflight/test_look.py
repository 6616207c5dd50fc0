"""What a host says of itself, on this very machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.scripts import load

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "preflight" / "files" / "look.py"
look = load(SCRIPT)


@pytest.mark.parametrize(
    ("line", "address", "port", "name"),
    [
        ('LISTEN 0 4096 *:443 *:* users:(("nginx",pid=1,fd=3))', "*", 443, "nginx (pid 1)"),
        ('LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=1,fd=4))', "::", 22, "sshd (pid 1)"),
        ("LISTEN 0 5 127.0.0.53%lo:53 0.0.0.0:*", "127.0.0.53", 53, "something that does not tell its name"),
    ],
)
def test_a_listener_is_named(line: str, address: str, port: int, name: str) -> None:
    found = look.listener(line)
    assert (found["address"], found["port"], found["name"], found["is_ours"]) == (address, port, name, False)


def test_what_is_no_listener_is_left_out() -> None:
    assert look.listener("") is None


def test_a_folder_without_lists_knows_no_packages(tmp_path: Path) -> None:
    (tmp_path / "partial").mkdir()
    (tmp_path / "lock").touch()
    assert not look.has_package_lists(tmp_path)
    (tmp_path / "deb.debian.org_debian_dists_trixie_main_binary-amd64_Packages.lz4").touch()
    assert look.has_package_lists(tmp_path)
    assert not look.has_package_lists(tmp_path / "none")


def test_packages_are_those_that_stay() -> None:
    shown = "installed git\nconfig-files gone\nhalf-configured docker.io\ninstalled crun\ninstalled python3-requests\n"
    states = (
        "Package: crun\nArchitecture: amd64\nAuto-Installed: 0\n\n"
        "Package: python3-requests\nArchitecture: amd64\nAuto-Installed: 1\n\n"
        "Package: gone\nArchitecture: amd64\nAuto-Installed: 1\n\n"
    )
    assert look.wanted_packages(shown, states) == ["crun", "git"]
    assert look.wanted_packages("", "") == []


def test_this_machine() -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        done = subprocess.run(
            [sys.executable, "-I", "-"], input=SCRIPT.read_text(), capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        (held,) = [entry for entry in found["listeners"] if entry["port"] == mine.getsockname()[1]]
    assert f"(pid {os.getpid()})" in held["name"]
    assert found["memory_mb"] > 100
    assert found["free_mb"]["/var/lib"] >= 0
    assert found["packages"]


def test_the_version_of_a_hub(tmp_path: Path) -> None:
    assert look.hub_version(tmp_path) == ""
    for name in ("jupyterhub-6.1.1.dist-info", "jupyterhub_idle_culler-2.0.0.dist-info"):
        (tmp_path / "lib/python3.13/site-packages" / name).mkdir(parents=True)
    assert look.hub_version(tmp_path) == "6.1.1"
