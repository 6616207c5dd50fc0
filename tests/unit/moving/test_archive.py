"""One user's home as a file: what goes in comes out, what is damaged or leads astray does not."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import json
import os
import shutil
import stat
import subprocess
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import berth_volumes
import pytest
from berth_moving import __main__ as program
from berth_moving import archive, contents, placing
from berth_moving.contents import MovingError

from tests.unit.trees import nest

if TYPE_CHECKING:
    from pathlib import Path

MOMENT_NS = 1_700_000_000_123_456_789
ACCOUNT = {"known": True, "admin": False, "groups": ["lab"], "password_hash": "$2b$12$x"}
ABOUT = {"user": "alice", "host": "old.example.org"}


def fill(home: Path) -> None:
    """Files of many kinds."""
    deep = home / "a folder" / "Ünïcödé ☃" / "new\nline"
    deep.mkdir(parents=True)
    (deep / "-rf *").write_bytes(b"content")
    (home / "long" / ("x" * 200) / ("y" * 200)).mkdir(parents=True)
    with contextlib.suppress(OSError):
        (home / os.fsdecode(b"latin-1 \xe9")).write_bytes(b"x")
    (home / "script").write_text("#!/bin/sh\n")
    (home / "script").chmod(0o754)
    (home / "random").write_bytes(os.urandom(3_000_000))
    os.link(home / "random", home / "a folder" / "hard link")
    (home / "link").symlink_to("a folder")
    (home / "broken").symlink_to("/nowhere/at all")
    with (home / "sparse").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(25_000_000)
        file.write(b"in the middle")
    os.mkfifo(home / "pipe")
    closed = home / "read only"
    closed.mkdir()
    (closed / "file").write_bytes(b"x" * 5000)
    (closed / "file").chmod(0o400)
    (closed / "out").symlink_to("../../..")
    closed.chmod(0o555)
    for path in [*home.rglob("*"), home]:
        os.utime(path, ns=(MOMENT_NS, MOMENT_NS), follow_symlinks=False)


def tell(home: Path) -> dict[str, Any]:
    """Everything that must come back."""
    found = {}
    for path in [home, *home.rglob("*")]:
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        content: object = None
        if kind == stat.S_IFREG:
            content = hashlib.sha256(path.read_bytes()).hexdigest(), status.st_nlink
        elif kind == stat.S_IFLNK:
            content = os.readlink(path)  # noqa: PTH115 (a path would be tidied up)
        found[str(path.relative_to(home))] = (status.st_mode, status.st_mtime_ns, content)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "homes" / "alice"
    made.mkdir(parents=True)
    return made


def packed(home: Path, target: Path) -> dict[str, Any]:
    return archive.pack(home, target, ACCOUNT, ABOUT)


def unpacked(path: Path, target: Path) -> Path:
    _, _, part = archive.inspect(path)
    archive.look_through(path, part)
    target.mkdir()
    placing.unpack(path, part, target, [])
    return target


@pytest.mark.parametrize("zstd", [True, False])
def test_everything_comes_back(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, zstd: bool) -> None:
    if not zstd:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    fill(home)
    before = tell(home)
    manifest = packed(home, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600
    assert manifest["home"]["name"] == ("home.tar.zst" if zstd else "home.tar")
    found, account, _ = archive.inspect(tmp_path / "a.tar")
    assert (found, account) == (manifest, ACCOUNT)
    assert manifest["entries"] == len(before)
    assert manifest["changed_meanwhile"] == 0
    # The hole is no content.
    assert 3_005_000 < manifest["bytes"] < 3_100_000
    back = unpacked(tmp_path / "a.tar", tmp_path / "back")
    assert tell(back) == before
    assert (back / "sparse").stat().st_blocks * 512 < 1_000_000
    assert {path.lstat().st_uid for path in back.rglob("*")} == {os.geteuid()}


def test_it_can_be_read_without_berth(home: Path, tmp_path: Path) -> None:
    (home / "file").write_text("mine")
    manifest = packed(home, tmp_path / "a.tar")
    name = manifest["home"]["name"]
    shell = f"tar -xOf a.tar {name} | tar -x {'--zstd' if name.endswith('zst') else ''} -C out"
    (tmp_path / "out").mkdir()
    subprocess.run(shell, shell=True, cwd=tmp_path, check=True)  # noqa: S602 (as the documentation has it)
    assert (tmp_path / "out" / "file").read_text() == "mine"


def test_keys_of_servers_do_not_travel(home: Path, tmp_path: Path) -> None:
    runtime = home / ".local" / "share" / "jupyter" / "runtime"
    runtime.mkdir(parents=True)
    (runtime / "jupyter_cookie_secret").write_text("secret")
    (home / ".local" / "share" / "jupyter" / "kernels").mkdir()
    (home / "runtime").mkdir()
    packed(home, tmp_path / "a.tar")
    back = unpacked(tmp_path / "a.tar", tmp_path / "back")
    assert {path.name for path in back.rglob("*")} == {".local", "share", "jupyter", "kernels", "runtime"}
    assert (back / "runtime").is_dir()
    assert not (back / ".local" / "share" / "jupyter" / "runtime").exists()


@pytest.mark.parametrize("zstd", [True, False])
def test_a_flipped_bit_is_found_wherever_it_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, zstd: bool
) -> None:
    if not zstd:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    (home / "file").write_bytes(os.urandom(20_000))
    packed(home, tmp_path / "good.tar")
    good = (tmp_path / "good.tar").read_bytes()
    bad = tmp_path / "bad.tar"
    _, _, part = archive.inspect(tmp_path / "good.tar")
    for place in (*range(part.offset, part.offset + part.size, 1801), good.index(b'"groups"') + 2):
        bad.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(MovingError, match=r"damaged|no archive"):  # noqa: PT012 (whichever finds it)
            _, _, part = archive.inspect(bad)
            archive.look_through(bad, part)
    for size in (0, 100, 5000, len(good) // 2, len(good) - 1600):
        bad.write_bytes(good[:size])
        with pytest.raises(MovingError, match="no archive"):
            archive.inspect(bad)


def test_a_newer_format_is_refused(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FORMAT", 2)
    packed(home, tmp_path / "a.tar")
    monkeypatch.undo()
    with pytest.raises(MovingError, match="has format 2, and this Berth reads format 1"):
        archive.inspect(tmp_path / "a.tar")


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, mode
    return made


def stream(*members: tarfile.TarInfo) -> io.BytesIO:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as made:
        for one in members:
            made.addfile(one)
    return io.BytesIO(target.getvalue())


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([member("/etc/cron.d/x")], "lead out of the home"),
        ([member("./a/../../x")], "lead out of the home"),
        ([member("x", tarfile.LNKTYPE, "/etc/shadow")], "hard link to /etc/shadow"),
        ([member("x", tarfile.LNKTYPE, "../bob/secret")], "lead out of the home"),
        ([member("x", tarfile.SYMTYPE, "/etc"), member("x/passwd")], "goes through a link"),
        ([member("./x", tarfile.SYMTYPE, ".."), member("y", tarfile.LNKTYPE, "x/bob")], "goes through a link"),
        ([member("x", tarfile.CHRTYPE)], "device"),
        ([member("x", tarfile.BLKTYPE)], "device"),
        ([member("x", b"Z")], "of a kind that no home has"),
    ],
)
def test_what_leads_astray_is_refused(members: list[tarfile.TarInfo], says: str) -> None:
    with pytest.raises(MovingError, match=says):
        contents.scan(stream(member("fine"), *members))


def test_links_within_a_home_and_out_of_it_are_only_links() -> None:
    found = contents.scan(
        stream(member("./x", tarfile.SYMTYPE, "/etc"), member("xy/z"), member("pipe", tarfile.FIFOTYPE))
    )
    assert (found.entries, found.files) == (3, 1)


def test_special_bits_are_counted_and_dropped(home: Path, tmp_path: Path) -> None:
    (home / "shell").write_text("#!/bin/sh\n")
    (home / "shell").chmod(0o6755)
    (home / "shared").mkdir()
    (home / "shared").chmod(0o3777)
    assert packed(home, tmp_path / "a.tar")["special_bits"] == 2
    back = unpacked(tmp_path / "a.tar", tmp_path / "back")
    assert stat.S_IMODE((back / "shell").stat().st_mode) == 0o755
    assert stat.S_IMODE((back / "shared").stat().st_mode) == 0o777


def test_a_file_that_changes_meanwhile_is_counted(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "growing").write_bytes(b"x" * 10_000_000)
    # Tar runs it while it is in the middle of the file.
    meanwhile = ["--checkpoint=100", f"--checkpoint-action=exec=echo more >>'{home}/growing'"]
    monkeypatch.setattr(archive, "TAR_CREATE", [*archive.TAR_CREATE, *meanwhile])
    assert packed(home, tmp_path / "a.tar")["changed_meanwhile"] == 1
    assert (unpacked(tmp_path / "a.tar", tmp_path / "back") / "growing").stat().st_size == 10_000_000


def test_a_home_that_cannot_be_read_is_no_archive(home: Path, tmp_path: Path) -> None:
    with pytest.raises(MovingError, match="cannot be read"):
        packed(home / "not there", tmp_path / "a.tar")


def test_space_is_asked_for_by_what_an_archive_holds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "zeros").write_bytes(bytes(50_000_000))
    monkeypatch.setattr(placing, "HOMES", home.parent)
    # Enough for the archive, and for what a manifest may claim.
    free = placing.SPARE_BYTES + 5_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    place = placing.begin(home.parent, "in", "bob", 0)
    packed(home, place / program.FILE)
    with pytest.raises(MovingError, match=r"2\d\d MB are needed where .*homes is, and 204 MB are free"):
        program.unpack("bob", f"{os.getuid()}:{os.getgid()}")
    assert [path.name for path in place.iterdir()] == [program.FILE]
    program.end("in", "bob")
    assert list(home.parent.iterdir()) == [home]


def test_what_the_manifest_says_must_be_so(home: Path, tmp_path: Path) -> None:
    packed(home, tmp_path / "a.tar")
    content = (tmp_path / "a.tar").read_bytes()
    for old, new in (
        (b'"user": "alice"', b'"user": "a/ice"'),
        (b'"entries": 1', b'"entries": x'),
        (b'"user"', b'"usor"'),
    ):
        assert content.count(old) == 1
        (tmp_path / "b.tar").write_bytes(content.replace(old, new))
        with pytest.raises(MovingError, match=r"manifest|no archive"):
            archive.inspect(tmp_path / "b.tar")
    assert json.loads(json.dumps(archive.inspect(tmp_path / "a.tar")[0]))["user"] == "alice"


def refuse(path: Path, *_: object) -> None:
    """What a file system does that has no modes, or no links."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


class TestKeep:
    """An archive gets its name where there are links and modes, and where there are not; it never replaces anything."""

    @pytest.fixture(params=["links", "FAT"])
    def file(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
        (home / "file").write_text("hers")
        packed(home, tmp_path / "archive")

        if request.param == "FAT":
            monkeypatch.setattr(type(home), "chmod", refuse)
            monkeypatch.setattr(type(home), "hardlink_to", refuse)
        return tmp_path / "archive"

    def test_it_has_its_name_and_no_other(self, file: Path, tmp_path: Path) -> None:
        content = file.read_bytes()
        assert program.keep(str(file), str(tmp_path / "anna.tar"))["file"] == str(tmp_path / "anna.tar")
        assert (tmp_path / "anna.tar").read_bytes() == content
        assert not file.exists()

    @pytest.mark.parametrize("link", [True, False])
    def test_what_is_there_stays(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, link: bool
    ) -> None:
        target = tmp_path / "anna.tar"
        if link:
            target.symlink_to(tmp_path / "nowhere")
        else:
            target.write_text("older")
        for _ in range(2):
            with pytest.raises(FileExistsError):
                program.keep(str(file), str(target))
            # And if it came after the file system had said that it has no links.
            monkeypatch.setattr(type(file), "hardlink_to", refuse)
        assert file.exists()
        assert target.is_symlink() if link else target.read_text() == "older"

    def test_no_empty_file_is_left(self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(file), "hardlink_to", refuse)
        monkeypatch.setattr(type(file), "replace", refuse)
        with pytest.raises(PermissionError):
            program.keep(str(file), str(tmp_path / "anna.tar"))
        assert file.exists()
        assert not (tmp_path / "anna.tar").exists()


class TestMeasure:
    """What a home takes is known whatever is in it, and whoever works there."""

    def test_files_and_bytes_are_counted(self, home: Path, tmp_path: Path) -> None:
        fill(home)
        blocks = [path.lstat().st_blocks for path in home.rglob("*")]
        regular = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
        assert placing.measure(home) == (len(regular), 512 * sum(blocks))
        (tmp_path / "link").symlink_to(home)
        assert placing.measure(tmp_path / "link") == placing.measure(home)

    @pytest.mark.parametrize(("name", "levels"), [("a", 1100), ("b" * 200, 25)])
    def test_however_deep_it_is(self, home: Path, name: str, levels: int) -> None:
        nest(home, name, levels)
        try:
            files, size = placing.measure(home)
        finally:
            berth_volumes.remove(home)
        assert files == 1
        assert size >= 5000

    def test_what_goes_meanwhile_is_passed_over(self, home: Path) -> None:
        paths = [home / str(number) for number in range(5000)]
        for path in paths:
            path.touch()
        ended = threading.Event()

        def change() -> None:
            for path in itertools.cycle(paths):
                path.unlink()
                path.touch()
                if ended.is_set():
                    return

        with ThreadPoolExecutor(1) as pool:
            pool.submit(change)
            try:
                counted = [placing.measure(home)[0] for _ in range(5)]
            finally:
                ended.set()
        assert min(counted) > len(paths) // 2


class TestPut:
    """A home is put where none is, or into the one that is there."""

    @pytest.fixture
    def source(self, home: Path) -> Path:
        place = placing.begin(home.parent, "in", "bob", 0)
        (place / "home").mkdir()
        (place / "home" / "file").write_text("moved")
        return place / "home"

    def test_as_the_home(self, home: Path, source: Path) -> None:
        assert placing.put(source, home.parent, "bob", "imported-1") == ""
        assert (home.parent / "bob" / "file").read_text() == "moved"

    def test_never_over_one_that_is_there_even_if_it_is_empty(self, home: Path, source: Path) -> None:
        with pytest.raises(MovingError, match="is there already"):
            placing.put(source, home.parent, "alice", "")
        assert source.is_dir()
        assert list(home.iterdir()) == []

    def test_into_one_under_a_free_name_and_through_no_link(self, home: Path, source: Path, tmp_path: Path) -> None:
        (home / "imported-1").symlink_to(tmp_path)
        assert placing.put(source, home.parent, "alice", "imported-1") == "imported-1-2"
        assert (home / "imported-1-2" / "file").read_text() == "moved"

    def test_what_an_interrupted_run_left_is_gone(self, home: Path, source: Path) -> None:
        again = placing.begin(home.parent, "in", "bob", 0)
        assert source.parent == again
        assert list(again.iterdir()) == []

    def test_too_little_space_is_said_before_anything_is_made(self, home: Path) -> None:
        with pytest.raises(MovingError, match="MB are free"):
            placing.begin(home.parent, "in", "carol", 2**60)
        assert [path.name for path in home.parent.iterdir()] == ["alice"]


def test_a_home_is_taken_out_again_when_the_account_is_not_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "HOMES", home.parent)
    for name, folder, left in (("bob", "", ["alice"]), ("alice", "imported-1", ["alice"])):
        place = placing.begin(home.parent, "in", name, 0)
        (place / "home").mkdir()
        (place / "home" / "file").write_text("moved")
        assert program.put(name, folder) == {"folder": folder}
        program.take(name, folder)
        assert (place / "home" / "file").read_text() == "moved"
        program.end("in", name)
        assert [path.name for path in home.parent.iterdir()] == left
        assert list(home.iterdir()) == []
