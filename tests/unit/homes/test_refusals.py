"""What is asked of homes, and what a host's file system says to it: decided before anything is changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import look_homes
import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "user_homes"
OFF = {"able": True, "on": False, "lacking": "it was not mounted with prjquota", "mend": "mount it so"}
ON = {"able": True, "on": True, "lacking": "", "mend": ""}
UNABLE = {"able": False, "on": False, "lacking": "", "mend": ""}
QUOTA = {"user_homes_quota": "1G"}
LOOP = {"user_homes_storage": "loop", "user_homes_storage_size": "2G"}

HOSTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ready": (QUOTA, {"type": "ext4", "projects": ON}),
    "not_ready": (QUOTA, {"type": "xfs", "projects": OFF}),
    "neither": (QUOTA, {"type": "overlay", "projects": UNABLE}),
    "snapshots": ({**QUOTA, "user_homes_snapshots": True}, {"type": "ext4", "projects": ON}),
    "loop": ({**QUOTA, **LOOP}, {"type": "ext4", "projects": OFF}),
    "btrfs": (QUOTA, {"type": "btrfs", "projects": UNABLE}),
    "in_use": (QUOTA, {"type": "ext4", "projects": ON, "plain": ["alice"], "berths": ["berth-alice"]}),
    "asks_nothing": ({}, {}),
}
"""What each host is told, and what it is."""

LOOKED: dict[str, Any] = {
    "own": False,
    "at": "/",
    "image": 0,
    "image_takes": 0,
    "free": 2**40,
    "holds": 0,
    "homes": [],
    "plain": [],
    "berths": [],
    "btrfs": True,
    "loop": True,
}
TOLD = (
    "{{ {'settings': __user_homes_settings, 'lacks': __user_homes_lacks if __user_homes_asked else [],"
    " 'look': __user_homes_look} | to_json }}"
)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the role makes of each host, by one run of a playbook."""
    place = tmp_path_factory.mktemp("decided")
    hosts = {}
    for name, (asked, found) in HOSTS.items():
        looked = {"__user_homes_looked": {"stdout": json.dumps({**LOOKED, **found})}} if found else {}
        hosts[name] = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **asked, **looked}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"role_path": str(ROLE)},
        "vars_files": [str(ROLE / "vars/main.yml")],
        "tasks": [{"ansible.builtin.copy": {"content": TOLD, "dest": f"{place}/{{{{ inventory_hostname }}}}.told"}}],
    }
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    (place / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": defaults}}), encoding="utf-8")
    (place / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    program = Path(sys.executable).parent / "ansible-playbook"
    command = list(map(str, [program, "-i", place / "hosts.yml", place / "play.yml"]))
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: json.loads((place / f"{name}.told").read_text(encoding="utf-8")) for name in HOSTS}


WAYS = {
    # Whether homes are subvolumes, and whether they are projects.
    "ready": (False, True),
    "snapshots": (False, True),
    "loop": (True, False),
    "btrfs": (True, False),
    "asks_nothing": (False, False),
}


@pytest.mark.parametrize("name", WAYS)
def test_homes_become_what_the_file_system_can(decided: dict[str, dict[str, Any]], name: str) -> None:
    settings = decided[name]["settings"]
    assert (settings["subvolumes"], settings["projects"]) == WAYS[name]
    assert settings["quota"] == (2**30 if "user_homes_quota" in HOSTS[name][0] else 0)


@pytest.mark.parametrize("name", ["ready", "loop", "btrfs", "asks_nothing"])
def test_what_can_be_is_not_refused(decided: dict[str, dict[str, Any]], name: str) -> None:
    assert decided[name]["lacks"] == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("not_ready", ["not_ready is on xfs", "it was not mounted with prjquota: mount it so; or set", "to loop"]),
        ("neither", ["user_homes_quota needs homes on btrfs", "neither is on overlay", "(or an ext4 or XFS, with"]),
        ("snapshots", ["user_homes_snapshots needs homes on btrfs", "snapshots is on ext4: mount a btrfs"]),
        ("in_use", ["user_homes_quota has homes made anew (alice)", "stop the servers first (berth-alice)"]),
    ],
)
def test_what_cannot_be_is_refused_once(decided: dict[str, dict[str, Any]], name: str, parts: list[str]) -> None:
    (text,) = decided[name]["lacks"]
    assert [part for part in parts if part not in text] == [], text


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has quotas, and an ext4 that was made without."""
    told = subprocess.CompletedProcess([], 0, "Filesystem features:      has_journal extent\n")
    monkeypatch.setattr(look_homes, "kernel_has", lambda *_: True)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/tune2fs")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: told)


@pytest.mark.usefixtures("features")
def test_a_root_file_system_is_mended_where_it_is_not_in_use() -> None:
    lacking, mend = look_homes.lacks_of_ext4("/", "/dev/sda1")
    assert lacking == "it lacks the feature project, and the option prjquota"
    assert mend == (
        "start a rescue system, there tune2fs -O project,quota -Q prjquota /dev/sda1, then write prjquota into its line"
        " of /etc/fstab, and start the host again"
    )


def test_a_kernel_without_quotas_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_homes, "kernel_has", lambda *_: False)
    assert look_homes.lacks_of_ext4("/", "/dev/sda1")[0] == "the kernel has no quotas (CONFIG_QFMT_V2)"


def test_what_is_sent_to_a_new_host_has_all_that_it_needs(decided: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """On standard input, as a playbook sends it, in a folder where nothing is."""
    command = [sys.executable, "-I", "-S", "-"]
    sent = decided["ready"]["look"]
    done = subprocess.run(command, cwd=tmp_path, input=sent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"type", "plain", "projects", "berths"} <= json.loads(done.stdout).keys()


def test_an_ext4_on_a_host_without_its_tools_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As hosts are that were made of little."""
    monkeypatch.setattr(look_homes, "kernel_has", lambda *_: True)
    monkeypatch.setattr(look_homes, "SYSTEM_PATH", str(tmp_path))
    lacking, mend = look_homes.lacks_of_ext4("/srv/berth/homes", "/dev/vdb")
    assert "tune2fs" in lacking
    assert mend == "apt install e2fsprogs"
