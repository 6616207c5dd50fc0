"""Memory of berths that sleep, on trees of files that look like the kernel's; the real ones: molecule/options."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/jupyterhub/files/host/usr/local/sbin/berth-reclaim"


class Trees:
    """Control groups, and where it is written down whose memory was taken back."""

    def __init__(self, root: Path) -> None:
        self.cgroups, self.seen = root / "cgroup", root / "seen"
        self.seen.mkdir()

    def group(self, path: str, **files: str) -> Path:
        group = self.cgroups / path
        group.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (group / name.replace("__", ".")).write_text(text, encoding="ascii")
        return group

    def look(self) -> None:
        subprocess.run([SCRIPT, self.cgroups, self.seen], check=True, timeout=20)

    def asleep(self) -> list[str]:
        return sorted(path.name for path in self.seen.iterdir())


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path)


@pytest.mark.parametrize("path", ["docker/0a1b", "system.slice/docker-0a1b.scope"])
def test_in_one_tree_of_groups(trees: Trees, path: str) -> None:
    files = {"memory__current": "70000000\n", "memory__swap__max": "0\n", "memory__reclaim": ""}
    one = trees.group(path, cgroup__events="populated 1\nfrozen 1\n", **files)
    other = trees.group(path.replace("0a1b", "awake"), cgroup__events="populated 1\nfrozen 0\n", **files)
    trees.look()
    assert (one / "memory.reclaim").read_text(encoding="ascii") == "70000000\n"
    assert (one / "memory.swap.max").read_text(encoding="ascii") == "0\n"
    assert (other / "memory.reclaim").read_text(encoding="ascii") == ""
    assert trees.asleep() == [one.name]


@pytest.mark.parametrize("path", ["docker/0a1b", "system.slice/docker-0a1b.scope"])
def test_where_memory_has_a_tree_of_its_own(trees: Trees, path: str) -> None:
    trees.group(f"freezer/{path}", freezer__state="FROZEN\n")
    trees.group("freezer/docker/awake", freezer__state="THAWED\n")
    one = trees.group(f"memory/{path}", memory__force_empty="")
    other = trees.group("memory/docker/awake", memory__force_empty="")
    trees.look()
    assert (one / "memory.force_empty").read_text(encoding="ascii") == "0\n"
    assert (other / "memory.force_empty").read_text(encoding="ascii") == ""


def test_once_for_each_sleep(trees: Trees) -> None:
    one = trees.group("docker/one", cgroup__events="frozen 1\n", memory__current="7\n", memory__reclaim="")
    trees.look()
    (one / "memory.reclaim").write_text("", encoding="ascii")
    trees.look()
    assert (one / "memory.reclaim").read_text(encoding="ascii") == ""

    (one / "cgroup.events").write_text("frozen 0\n", encoding="ascii")
    trees.look()
    assert trees.asleep() == []

    (one / "cgroup.events").write_text("frozen 1\n", encoding="ascii")
    trees.look()
    assert (one / "memory.reclaim").read_text(encoding="ascii") == "7\n"


def test_a_host_without_containers(trees: Trees) -> None:
    trees.look()
    assert trees.asleep() == []
