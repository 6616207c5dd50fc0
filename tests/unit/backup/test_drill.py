"""A drill: what leaves the host is one snapshot, whole; what is missing or different after a restore is told."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from berth_backup import drill, restic, runs
from berth_backup.restore import RestoreError

if TYPE_CHECKING:
    from .conftest import Host

ME = f"{os.getuid()}:{os.getgid()}"


@pytest.fixture
def plan(host: Host) -> dict[str, str]:
    """Two files of alice's and one of bob's in a snapshot that was packed."""
    for name, content in {"alice/a": "first", "alice/deep/b": "second", "bob/c": "third"}.items():
        host.write(f"homes/{name}", content)
    assert runs.backup(host.settings)
    return drill.pack(host.settings, "latest", ME)


@pytest.fixture
def packed(plan: dict[str, str]) -> Path:
    """The file of checksums."""
    return Path(plan["folder"], drill.CHECKSUMS)


def snapshot(host: Host) -> str:
    return str(restic.snapshots(host.settings)[-1]["id"])


def test_what_is_packed_is_a_repository_with_that_snapshot_alone(
    host: Host, plan: dict[str, str], packed: Path, tmp_path: Path
) -> None:
    host.write("homes/alice/later")
    assert runs.backup(host.settings)
    there = tmp_path / "elsewhere"
    there.mkdir()
    subprocess.run(["tar", "-C", str(there), "-xf", str(packed.with_name(drill.REPOSITORY))], check=True)
    elsewhere = dataclasses.replace(host.settings, repository=str(there))
    (only,) = restic.snapshots(elsewhere)
    assert only["id"] == plan["id"]
    listed = restic.run(elsewhere, "ls", "--no-lock", only["id"])
    assert str(host.root / "homes/alice/deep/b") in listed
    assert str(host.root / "homes/alice/later") not in listed
    restic.run(elsewhere, "check", "--read-data")


def test_only_who_fetches_it_reads_it_and_it_goes(host: Host, packed: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in packed.parent.iterdir()}
    assert modes == {drill.REPOSITORY: 0o600, drill.CHECKSUMS: 0o600}
    assert packed.parent.stat().st_mode & 0o777 == 0o700
    drill.end(host.settings)
    assert not packed.parent.exists()


def test_everything_that_is_as_it_was_counts(host: Host, packed: Path) -> None:
    found = drill.compare(host.settings, snapshot(host), packed)
    assert found == {
        "files": 3,
        "same": 3,
        "changed_since": 0,
        "missing": [],
        "missing_count": 0,
        "different": [],
        "different_count": 0,
    }


def test_what_is_missing_is_named(host: Host, packed: Path) -> None:
    gone = host.root / "homes/alice/deep/b"
    gone.unlink()
    assert drill.compare(host.settings, snapshot(host), packed)["missing"] == [str(gone)]


def test_other_content_of_the_same_size_and_time_is_named(host: Host, packed: Path) -> None:
    victim = host.root / "homes/bob/c"
    was = victim.stat()
    victim.write_text("THIRD", encoding="utf-8")
    os.utime(victim, ns=(was.st_atime_ns, was.st_mtime_ns))
    found = drill.compare(host.settings, snapshot(host), packed)
    assert (found["different"], found["same"]) == ([str(victim)], 2)


def test_another_size_is_named_whatever_the_time(host: Host, packed: Path) -> None:
    victim = host.write("homes/bob/c", "cut")
    assert drill.compare(host.settings, snapshot(host), packed)["different"] == [str(victim)]


@pytest.mark.parametrize(
    "names",
    [[b"caf\xe9", b"caf\xe8"], [b"\xe2\x82", b"\xef\xbf\xbd"], [b"next\xc2\x85line"], [b"a\rb\nc\xe2\x80\xa8d"]],
    ids=["Latin-1", "half a character", "U+0085", "ends of lines"],
)
def test_whatever_files_are_called_they_are_compared(host: Host, names: list[bytes]) -> None:
    paths = [Path(host.settings.homes, "alice", os.fsdecode(name)) for name in names]
    for number, path in enumerate(paths):
        path.write_text("x" * number, encoding="utf-8")
    assert runs.backup(host.settings)
    packed = Path(drill.pack(host.settings, "latest", ME)["folder"], drill.CHECKSUMS)
    found = drill.compare(host.settings, snapshot(host), packed)
    assert (found["files"], found["same"], found["missing"], found["different"]) == (len(names), len(names), [], [])
    paths[0].unlink()
    found = drill.compare(host.settings, snapshot(host), packed)
    assert found["missing_count"] + found["different_count"] == 1
    (told,) = found["missing"] + found["different"]
    assert str(told).encode("utf-8"), "can be written down"


def test_what_people_have_changed_since_is_no_difference(host: Host, packed: Path) -> None:
    checksums = json.loads(packed.read_text(encoding="utf-8"))
    changed = str(host.root / "homes/alice/a")
    checksums[changed] = [7, 1, "of what alice has now"]
    del checksums[str(host.root / "homes/bob/c")]
    packed.write_text(json.dumps(checksums), encoding="utf-8")
    found = drill.compare(host.settings, snapshot(host), packed)
    assert (found["same"], found["changed_since"], found["missing"], found["different"]) == (1, 2, [], [])


@pytest.mark.usefixtures("packed")
def test_a_snapshot_that_is_not_there_is_refused(host: Host) -> None:
    with pytest.raises(RestoreError, match="begin with 'ffffffff'"):
        drill.pack(host.settings, "ffffffff", ME)
