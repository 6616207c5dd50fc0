"""Homes are made once, for good and for one user only; they go only when that is asked for."""

from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import berth_volumes
import pytest
from berth_homes import Homes, delete_home, ensure_home

from tests.unit.trees import nest

if TYPE_CHECKING:
    from pathlib import Path

UID, GID = os.getuid(), os.getgid()
needs_root = pytest.mark.skipif(UID != 0, reason="only root can give a directory away")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "homes"
    path.mkdir()
    return path


def ensure(root: Path, name: str) -> Path:
    return ensure_home(Homes(root, UID, GID), name)


def test_a_home_is_made_for_its_user_only(root: Path) -> None:
    home = ensure(root, "alice")
    found = home.stat()
    assert home == root / "alice"
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o700, UID, GID)
    assert list(root.iterdir()) == [root / "alice"]


def test_whatever_the_umask(root: Path) -> None:
    before = os.umask(0)
    try:
        assert stat.S_IMODE(ensure(root, "alice").stat().st_mode) == 0o700
    finally:
        os.umask(before)


@needs_root
def test_a_home_belongs_to_the_user_of_berths(root: Path) -> None:
    found = ensure_home(Homes(root, 1234, 2345), "alice").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


@needs_root
def test_a_home_that_was_made_but_not_given_away_is_mended(root: Path) -> None:
    (root / "alice").mkdir(mode=0o700)
    found = ensure_home(Homes(root, 1234, 2345), "alice").stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


@needs_root
def test_a_home_that_somebody_else_owns_is_left_so(root: Path) -> None:
    """An operator has moved a home to another user identity."""
    (root / "alice").mkdir(mode=0o750)
    os.chown(root / "alice", 4321, 5432)
    found = ensure_home(Homes(root, 1234, 2345), "alice").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4321, 5432, 0o750)


def test_what_is_in_it_stays(root: Path) -> None:
    home = ensure(root, "alice")
    (home / "notebook.ipynb").write_text("mine")
    assert ensure(root, "alice") == home
    assert (home / "notebook.ipynb").read_text() == "mine"


def test_many_at_once_get_the_same_home(root: Path) -> None:
    """The very directory: a berth that has mounted one must not be left with a home that another request replaced."""
    for number in range(20):
        name = f"user{number}"
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda _: ensure(root, name).stat().st_ino, range(16)))  # noqa: B023 (ends with the loop)
        assert len(set(seen)) == 1
    assert sorted(path.name for path in root.iterdir()) == sorted(f"user{number}" for number in range(20))


def test_names_that_look_alike_get_homes_of_their_own(root: Path) -> None:
    names = [
        "alice",
        "Alice",
        "ALICE",
        "é",
        "e\u0301",
        "alice--0123456789abcdef",
        "a" * 255,
        "a" * 254,
        "alice@example.org",
    ]
    assert len({ensure(root, name) for name in names}) == len(names)
    assert len(list(root.iterdir())) == len(names)


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_in_its_place_is_refused(root: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "alice").symlink_to(tmp_path / target)
    with pytest.raises(NotADirectoryError, match=r"homes/alice is not a directory: move it away"):
        ensure(root, "alice")


def test_a_file_in_its_place_is_refused(root: Path) -> None:
    (root / "alice").write_text("x")
    with pytest.raises(NotADirectoryError, match=r"homes/alice is not a directory: move it away"):
        ensure(root, "alice")
    assert (root / "alice").read_text() == "x"


def test_only_the_home_that_was_named_is_deleted(root: Path) -> None:
    for name in ("alice", "Alice", "bob"):
        (ensure(root, name) / "notebook.ipynb").write_text(name)
    assert delete_home(root, "alice")
    assert not (root / "alice").exists()
    assert (ensure(root, "Alice") / "notebook.ipynb").read_text() == "Alice"
    assert (root / "bob" / "notebook.ipynb").read_text() == "bob"
    assert len(list(root.iterdir())) == 2


def test_deleting_again_finds_nothing(root: Path) -> None:
    ensure(root, "alice")
    assert delete_home(root, "alice")
    assert not delete_home(root, "alice")


def test_deleting_does_not_follow_links(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("x")
    (ensure(root, "alice") / "link").symlink_to(elsewhere)
    (root / "bob").symlink_to(elsewhere)
    assert delete_home(root, "alice")
    assert not delete_home(root, "bob")
    assert (elsewhere / "file").read_text() == "x"


def test_what_an_interrupted_deletion_left_goes_with_the_next(root: Path) -> None:
    (root / ".deleted-x1" / "home").mkdir(parents=True)
    (root / ".deleted-x1" / "home" / "secret").write_text("x")
    ensure(root, "alice")
    assert delete_home(root, "alice")
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(("name", "levels"), [("a", 1100), ("b" * 200, 25)])
def test_folders_within_folders_are_deleted_however_deep(root: Path, name: str, levels: int) -> None:
    nest(ensure(root, "mallory"), name, levels)
    (root / ".deleted-x1").mkdir()
    nest(root / ".deleted-x1", name, levels)
    try:
        assert delete_home(root, "mallory")
        assert list(root.iterdir()) == []
    finally:
        subprocess.run(["rm", "-rf", root], check=True)


def test_a_leftover_that_stays_does_not_keep_others_from_being_deleted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".deleted-x1").mkdir()
    ensure(root, "alice")
    works = berth_volumes.remove

    def remove(path: Path) -> None:
        if path.name == ".deleted-x1":
            raise OSError("rm -rf: cannot remove it: Operation not permitted")
        works(path)

    monkeypatch.setattr(berth_volumes, "remove", remove)
    assert delete_home(root, "alice")
    assert [path.name for path in root.iterdir()] == [".deleted-x1"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "../alice", "a\nb"])
def test_bad_names_touch_nothing(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="user name"):
        ensure(root, name)
    with pytest.raises(ValueError, match="user name"):
        delete_home(root, name)
    assert list(root.iterdir()) == []
