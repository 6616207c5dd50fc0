"""What can be told of homes' storage without a btrfs; with one, molecule/faults/tests/test_zy_quota.py has it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import berth_projects
import berth_storage
import berth_volumes
import pytest
from berth_homes import Homes, delete_home, home_of

from tests.unit.trees import nest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def tree(place: Path) -> Path:
    """Files of many kinds."""
    (place / "folder" / "empty").mkdir(parents=True)
    (place / "folder" / "file").write_bytes(b"x" * 5000)
    os.link(place / "folder" / "file", place / "hard")
    (place / "link").symlink_to("folder/file")
    os.mkfifo(place / "pipe")
    (place / "new\nline").touch(mode=0o400)
    return place


def test_a_copy_is_the_same(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one"), tmp_path / "other"
    berth_volumes.copy(one, other)
    assert berth_storage.difference(one, other) == ""
    assert (other / "hard").stat().st_nlink == 2


def _flip(path: Path) -> None:
    """Other contents of the same size and time."""
    status = path.stat()
    path.write_bytes(b"x" * 4999 + b"y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _relink(path: Path) -> None:
    status = path.lstat()
    path.unlink()
    path.symlink_to("folder/fild")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("folder/file", _flip),
        ("link", _relink),
        ("folder/file", lambda path: path.chmod(0o600)),
        ("folder/empty", lambda path: os.utime(path, (1, 1))),
        ("folder", lambda path: (path / "more").touch()),
        ("pipe", lambda path: (path.unlink(), path.touch())),
        ("new\nline", lambda path: path.unlink()),
    ],
)
def test_a_copy_that_differs_is_found(tmp_path: Path, name: str, change: Callable[[Path], object]) -> None:
    one, other = tree(tmp_path / "one"), tmp_path / "other"
    berth_volumes.copy(one, other)
    change(other / name)
    assert berth_storage.difference(one, other).startswith(str(one))


def test_folders_within_folders_are_compared_however_deep(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    nest(one, "a", 1100)
    try:
        berth_volumes.copy(one, other)
        assert berth_storage.difference(one, other) == ""
        inner = other / "/".join(["a"] * 1100) / "file"
        inner.write_bytes(b"x")
        assert berth_storage.difference(one, other) == str(one / inner.relative_to(other))
    finally:
        for folder in (one, other):
            berth_volumes.remove(folder)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a move looks, with a home; returns the folder in which that is."""
    names = {"HOMES": "homes", "IMAGE": "homes.btrfs", "BEFORE": "before", "LOCK": "lock", "NEW": "new"}
    for name, place in names.items():
        monkeypatch.setattr(berth_storage, name, tmp_path / place)
    tree(tmp_path / "homes" / "alice")
    return tmp_path


def kept(place: Path) -> bool:
    return (place / "alice" / "folder" / "file").read_bytes() == b"x" * 5000


def test_a_move_that_was_killed_is_undone(places: Path) -> None:
    (places / "homes").rename(places / "before")
    (places / "homes").mkdir()
    assert berth_storage.undo() == {"back": True}
    assert kept(places / "homes")
    assert not (places / "before").exists()
    assert berth_storage.undo() == {"back": False}


def test_homes_are_not_put_in_place_of_homes(places: Path) -> None:
    """Of a move that is over, or where somebody has worked since."""
    tree(places / "before" / "alice")
    assert berth_storage.undo() == {"back": False}
    (places / "homes").rename(places / "elsewhere")
    (places / "homes").mkdir()
    (places / "homes.btrfs").touch()
    assert berth_storage.undo() == {"back": False}
    assert kept(places / "before")
    assert kept(places / "elsewhere")


@pytest.mark.parametrize("in_the_way", ["before", "homes.btrfs"])
def test_nothing_is_overwritten(places: Path, in_the_way: str) -> None:
    (places / in_the_way).mkdir()
    with pytest.raises(OSError, match=f"{in_the_way} is there already"):
        berth_storage.image(2**30)
    assert kept(places / "homes")


def test_a_move_that_fails_at_its_end_is_undone(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(berth_storage, "run", lambda *_: "")
    monkeypatch.setattr(berth_storage, "move", lambda *_: ["alice"])
    rename = type(places).rename

    def fails(path: Path, target: Path) -> Path:
        if path.name == "homes.btrfs.new":
            raise OSError("no more")
        return rename(path, target)

    monkeypatch.setattr(type(places), "rename", fails)
    with pytest.raises(OSError, match="no more"):
        berth_storage.image(2**30)
    assert kept(places / "homes")


@pytest.mark.usefixtures("places")
def test_two_runs_do_not_move_at_once() -> None:
    with berth_storage.alone(), pytest.raises(BlockingIOError, match="begun earlier"), berth_storage.alone():
        pass


def test_who_was_never_asked_wants_plain_directories(tmp_path: Path) -> None:
    assert berth_volumes.settings(tmp_path / "homes.json") == berth_volumes.PLAIN
    (tmp_path / "homes.json").write_text(json.dumps({"subvolumes": True, "quota": 5, "snapshots": True, "kept": 3}))
    assert berth_volumes.settings(tmp_path / "homes.json") == berth_volumes.Settings(True, 5, True, 3)  # noqa: FBT003


TABLES = [
    # btrfs-progs 6.2 (Debian 12) and 6.14 (Debian 13).
    """qgroupid         rfer         excl     max_rfer
--------         ----         ----     --------
0/5             16384        16384         none
0/256       104841216    104841216    104857600
""",
    """Qgroupid    Referenced    Exclusive  Max referenced   Path
--------    ----------    ---------  --------------   ----
0/5              16384        16384            none   <toplevel>
0/256        104841216    104841216       104857600   a home
""",
]


@pytest.mark.parametrize("table", TABLES)
def test_figures_of_both_debians_are_read(table: str) -> None:
    assert berth_volumes._rows(table) == {5: (16384, 0), 256: (104841216, 104857600)}


def test_a_file_system_without_subvolumes_is_named(tmp_path: Path) -> None:
    wanted = berth_volumes.Settings(subvolumes=True)
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        berth_volumes.make(tmp_path / "alice", 0o700, wanted)
    assert not (tmp_path / "alice").exists()


def test_what_is_removed_by_a_descriptor_is_what_is_there_and_not_what_it_links_to(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home / "-rf" / "inner", elsewhere):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    (home / "link").symlink_to(elsewhere)
    with berth_projects.opened(home) as inside:
        for name in ("-rf", "link", "never there"):
            berth_volumes.remove(name, inside)
    assert list(home.iterdir()) == []
    assert (elsewhere / "file").read_text() == "x"


def test_what_cannot_be_removed_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"rm -rf: .*File name too long"):
        berth_volumes.remove(tmp_path / ("x" * 300))


def test_users_cannot_write_where_their_snapshots_are(tmp_path: Path) -> None:
    homes = Homes(tmp_path, os.getuid(), os.getgid(), berth_volumes.Settings(snapshots=True))
    told = home_of(homes, "alice")
    assert told == {"home": str(tmp_path / "alice"), "snapshots": str(tmp_path / ".snapshots/alice")}
    assert home_of(homes, "alice") == told
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.glob("**/*")}
    assert modes == {"alice": 0o700, ".snapshots": 0o711, ".snapshots/alice": 0o755}
    assert delete_home(tmp_path, "alice")
    assert list((tmp_path / ".snapshots").iterdir()) == []


def test_only_homes_are_taken_for_homes(tmp_path: Path) -> None:
    for name in ("alice", ".snapshots", ".moving-in-bob", "bob"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("alice")
    assert [path.name for path in berth_storage.homes(tmp_path)] == ["alice", "bob"]
