"""How Berth's files get to a host: what is noticed of those that are there, and what is laid over them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "base" / "files"

SYSTEMCTL = """#!/bin/sh
case $1 in list-*) exec cat "$UNITS/$1" ;; esac
for unit; do :; done
property=StateChangeTimestamp
case $unit in *.socket) property=ActiveEnterTimestamp ;; esac
echo "ActiveState=$(cat "$UNITS/$unit.state")"
echo "$property=$(cat "$UNITS/$unit.since")"
"""


class Host:
    """A folder with what the look asks for, and a systemctl that knows a few units."""

    def __init__(self, base: Path) -> None:
        self.base = base
        for name in ("bin", "units", "laid", "reads", "etc", "written"):
            (base / name).mkdir()
        self.lists("", "")
        (base / "bin" / "systemctl").write_text(SYSTEMCTL)
        (base / "bin" / "systemctl").chmod(0o755)

    def unit(self, name: str, moment: float, state: str = "active") -> None:
        since = datetime.fromtimestamp(moment, UTC).strftime("%a %Y-%m-%d %H:%M:%S.%f UTC")
        (self.base / "units" / f"{name}.since").write_text(since)
        (self.base / "units" / f"{name}.state").write_text(state)

    def lists(self, active: str, enabled: str) -> None:
        (self.base / "units" / "list-units").write_text(active)
        (self.base / "units" / "list-unit-files").write_text(enabled)

    def reads(self, name: str, *lines: str) -> None:
        (self.base / "reads" / name).write_text("".join(f"{line}\n" for line in lines))

    def look(self) -> list[str]:
        done = subprocess.run(
            ["/bin/sh", "-s", self.base / "laid", self.base / "reads", self.base / "written", self.base / "missing"],
            input=(FILES / "look.sh").read_text(),
            env={"PATH": f"{self.base / 'bin'}:{os.environ['PATH']}", "UNITS": str(self.base / "units")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("unit", ["berth-hub.service", "berth-homes.socket"])
def test_what_was_started_before_its_files_changed_is_told(host: Host, unit: str) -> None:
    settings = host.base / "etc" / "hub.json"
    settings.write_text("{}")
    # As an archive sets it: the time of the contents says nothing.
    os.utime(settings, (1000000000, 1000000000))
    host.reads("jupyterhub", f"{unit} {settings} {host.base}/etc/missing {host.base}/etc/no*.such")
    host.unit(unit, time.time() - 60)
    assert host.look() == ["outdated jupyterhub"]
    host.unit(unit, time.time() + 60)
    assert host.look() == []


def test_what_does_not_run_is_not_outdated(host: Host) -> None:
    settings = host.base / "etc" / "hub.json"
    settings.write_text("{}")
    host.reads("jupyterhub", f"berth-hub.service {settings}")
    host.unit("berth-hub.service", time.time() - 60, state="inactive")
    assert host.look() == []


def test_byte_code_that_python_writes_itself_does_not_count_and_a_link_to_another_environment_does(host: Host) -> None:
    library = host.base / "etc" / "berth_hub"
    (library / "__pycache__").mkdir(parents=True)
    (library / "__pycache__" / "config.pyc").write_text("")
    (host.base / "etc" / "new").mkdir()
    host.reads("jupyterhub", f"berth-hub.service {library} {host.base}/etc/hub")
    host.unit("berth-hub.service", time.time() - 60)
    assert host.look() == []
    (host.base / "etc" / "hub").symlink_to("new")
    assert host.look() == ["outdated jupyterhub"]


def test_what_runs_and_what_starts_with_the_host_is_told(host: Host) -> None:
    host.lists(
        "berth-dock.socket loaded active listening The broker\nberth-pam@1.service loaded active running Passwords\n",
        "berth-dock.socket enabled enabled\n",
    )
    assert host.look() == ["active berth-dock.socket", "active berth-pam@1.service", "enabled berth-dock.socket"]


def test_what_a_file_holds_and_whose_it_is_is_told(host: Host) -> None:
    (host.base / "written" / "below").mkdir()
    (host.base / "written" / "below" / "other").write_text("2")
    settings = host.base / "written" / "hub.json"
    settings.write_text("3")
    settings.chmod(0o640)
    (host.base / "written" / "link").symlink_to(settings)
    record = f"file {settings.owner()} {settings.group()} 640 {settings}"
    assert host.look() == [record, f"{hashlib.sha256(b'3').hexdigest()}  {settings}"]


def test_every_list_names_units_and_places() -> None:
    """One that is misspelt would tell nothing, for ever."""
    lists = list(FILES.parents[1].glob("*/files/host/opt/berth/reads/*"))
    assert len(lists) >= 6
    for file in lists:
        assert file.name == file.parents[5].name
        for line in file.read_text().splitlines():
            unit, *paths = line.split()
            assert unit.endswith((".service", ".socket", ".timer"))
            assert paths
            assert all(path.startswith("/") for path in paths)


def _archive(host: Path, name: str, files: dict[str, str]) -> None:
    source = host / "source"
    source.mkdir(exist_ok=True)
    for path, text in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    laid = host / "opt" / "berth" / "laid"
    laid.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--create", f"--file={laid / name}.new", f"--directory={source}", *files], check=True)


@pytest.mark.parametrize("mode", ["remove", "keep"])
def test_what_a_version_no_longer_has_goes(tmp_path: Path, mode: str) -> None:
    script = (FILES / "unpack.sh").read_text()

    def unpack(listed: str) -> None:
        subprocess.run(
            ["/bin/sh", "-s", "hub", mode, f"{listed}\n", str(tmp_path)], input=script, text=True, check=True
        )

    _archive(tmp_path, "hub", {"lib/settings.py": "old", "lib/config.py": "old"})
    unpack("1  /lib/settings.py")
    _archive(tmp_path, "hub", {"lib/config.py": "new", "lib/settings/__init__.py": "new"})
    unpack("2  /lib/config.py")
    assert (tmp_path / "lib" / "config.py").read_text() == "new"
    assert (tmp_path / "lib" / "settings" / "__init__.py").read_text() == "new"
    assert (tmp_path / "lib" / "settings.py").exists() is (mode == "keep")
    assert sorted(path.name for path in (tmp_path / "opt" / "berth" / "laid").iterdir()) == ["hub.list", "hub.tar"]
    assert (tmp_path / "opt" / "berth" / "laid" / "hub.list").read_text() == "2  /lib/config.py\n"
