"""The archive in which a role's files go to a host: the same everywhere, and told apart by what is in it alone."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.unit.scripts import load

PLUGIN = Path(__file__).resolve().parents[3] / "roles" / "base" / "action_plugins" / "base_pack.py"
base_pack = load(PLUGIN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for below, text in {"usr/bin/tool": "run", "opt/lib/a.py": "1", "opt/lib/a-b.py": "2", "opt/x.crt": "3"}.items():
        path = tmp_path / "host" / below
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "host" / "usr/bin/tool").chmod(0o700)
    return tmp_path / "host"


def pack(folder: Path, to: str = "/", pattern: str = "*") -> tuple[bytes, str]:
    archive: bytes
    archive, listed = base_pack.packed(base_pack.found(folder, pattern), to)
    return archive, listed


def entries(archive: bytes) -> list[tarfile.TarInfo]:
    return tarfile.open(fileobj=io.BytesIO(archive)).getmembers()


def test_the_same_files_give_the_same_archive_whenever_and_by_whomever_they_were_written(folder: Path) -> None:
    first = pack(folder)
    for path in folder.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (folder / "opt" / "lib" / "__pycache__").mkdir()
    (folder / "opt" / "lib" / "__pycache__" / "a.pyc").write_text("")
    assert pack(folder) == first


def test_another_content_is_another_archive_with_other_times(folder: Path) -> None:
    before = entries(pack(folder)[0])
    (folder / "opt" / "lib" / "a.py").write_text("4")
    assert {entry.mtime for entry in before}.isdisjoint(entry.mtime for entry in entries(pack(folder)[0]))


def test_all_are_roots_and_only_programs_can_be_run(folder: Path) -> None:
    found = entries(pack(folder)[0])
    assert {(entry.uid, entry.gid) for entry in found} == {(0, 0)}
    assert {entry.name: entry.mode for entry in found} == {
        "opt/lib/a-b.py": 0o644,
        "opt/lib/a.py": 0o644,
        "opt/x.crt": 0o644,
        "usr/bin/tool": 0o755,
    }


def test_some_names_alone_go_to_another_folder_and_the_list_says_so(folder: Path) -> None:
    (folder / "linked.crt").symlink_to(folder / "opt" / "x.crt")
    archive, listed = pack(folder, "/usr/local/share/ca-certificates", "*.crt")
    names = ["usr/local/share/ca-certificates/linked.crt", "usr/local/share/ca-certificates/opt/x.crt"]
    assert [entry.name for entry in entries(archive)] == names
    assert all(entry.isfile() for entry in entries(archive))
    # sha256sum of "3"
    assert listed == "".join(f"4e07408562be  /{name}\n" for name in names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to root, as on a host")
def test_what_was_laid_is_found_to_be_as_it_was_laid(folder: Path, tmp_path: Path) -> None:
    """By GNU tar, which looks at it on the host."""
    archive = tmp_path / "laid.tar"
    archive.write_bytes(pack(folder)[0])
    root = tmp_path / "root"
    root.mkdir()

    def tar(what: str) -> int:
        options = ["--same-permissions", f"--directory={root}", f"--file={archive}"]
        return subprocess.run(["tar", what, *options], check=False).returncode

    assert tar("--extract") == 0
    assert tar("--diff") == 0
    (root / "opt" / "lib" / "a.py").write_text("5")
    assert tar("--diff") == 1
