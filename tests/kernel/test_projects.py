"""Homes on ext4 and XFS hold what they may: the real programs, on the file systems themselves."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import berth_projects
import berth_storage
import berth_volumes
import look_homes
import pytest
import within_quota
from berth_homes import Homes, answer_one, delete_home, home_of
from berth_moving import placing
from berth_moving.contents import MovingError

from tests.kernel.conftest import PYTHON, UID, Disk, as_user, python, run, wait_until

MB = 1024**2
QUOTA = 8 * MB
WANTED = berth_volumes.Settings(quota=QUOTA, projects=True)
FILES = Path(within_quota.__file__).resolve().parent
FULL = {"ext4": errno.EDQUOT, "xfs": errno.ENOSPC}
"""What the kernel calls it."""

WRITE = """
import sys
with open(sys.argv[1], "ab", buffering=0) as file:
    for _ in range(int(sys.argv[2])):
        if file.write(bytes(2**20)) < 2**20:
            file.write(bytes(2**20))
"""
TOUCH = """
import sys
for number in range(int(sys.argv[2])):
    open(f"{sys.argv[1]}/{number}", "x").close()
"""
GIVE_AWAY = """
import fcntl, os, struct, sys
try:
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), int(sys.argv[2]), bytes.fromhex(sys.argv[3]))
except OSError as error:
    sys.exit(error.errno)
"""
# FSSETXATTR and SETFLAGS, from linux/fs.h.
TO_NO_PROJECT = (0x401C5820, struct.pack("=5I8x", 0, 0, 0, 0, 0).hex())
FROM_NOW_ON_TO_NONE = (0x40086602, struct.pack("=Q", 0).hex())


@pytest.fixture
def homes(root: Path) -> Homes:
    return Homes(root, UID, UID, WANTED)


def home(homes: Homes, name: str) -> Path:
    return Path(str(home_of(homes, name)["home"]))


def write(path: Path, megabytes: int) -> int:
    """Write as the user; returns what is said: 0, or a number of an error."""
    done = python(WRITE, path, megabytes)
    told = [number for number in FULL.values() if os.strerror(number) in done.stderr]
    assert done.returncode == len(told), done.stderr
    return told[0] if told else 0


def asked(homes: Homes, name: str) -> dict[str, int]:
    """What the hub is told."""
    answer = io.StringIO()
    answer_one(homes, io.BytesIO(f"\t{name}\n".encode()), answer)
    found: dict[str, int] = json.loads(answer.getvalue())
    return found


def project(path: Path) -> int:
    """Of a file or folder, as e2fsprogs tells it."""
    return int(run("lsattr", "-pd", str(path)).split()[0])


def settle(root: Path, wanted: berth_volumes.Settings, *, dry: bool = False) -> tuple[list[str], list[str]]:
    told = berth_storage.settle(root, wanted, dry=dry)
    return told["converted"], told["limited"]


def test_a_full_home_is_its_users_problem_alone(disk: Disk, homes: Homes) -> None:
    alice, bob = home(homes, "alice"), home(homes, "bob")
    assert asked(homes, "alice")["quota"] == QUOTA
    assert asked(homes, "alice")["used"] < MB // 10
    assert write(alice / "fill", 20) == FULL[disk.kind]
    assert QUOTA - MB < (alice / "fill").stat().st_size <= QUOTA
    assert QUOTA - MB < asked(homes, "alice")["used"] <= QUOTA
    assert write(bob / "some", 3) == 0
    assert 3 * MB <= asked(homes, "bob")["used"] < 4 * MB
    assert as_user("rm", str(alice / "fill")).returncode == 0
    assert write(alice / "again", 3) == 0


def test_all_in_a_home_counts_however_deep(disk: Disk, homes: Homes) -> None:
    alice = home(homes, "alice")
    assert as_user("mkdir", "-p", f"{alice}/one/two").returncode == 0
    assert write(alice / "one/two/file", 20) == FULL[disk.kind]
    assert project(alice / "one/two") == project(alice / "one/two/file") == berth_projects.of(alice) != 0


def test_files_without_contents_are_bounded_too(disk: Disk, homes: Homes) -> None:
    alice = home(homes, "alice")
    most = QUOTA // berth_projects.BYTES_PER_FILE
    done = python(TOUCH, alice, most + 100)
    assert os.strerror(FULL[disk.kind]) in done.stderr
    assert len(list(alice.iterdir())) == most - 1  # the home itself is one


def test_homes_that_are_made_at_once_have_a_project_each(homes: Homes) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: home(homes, f"user{number}"), range(8)))
    assert sorted(map(berth_projects.of, made)) == [berth_projects.FIRST + number for number in range(8)]


def test_who_comes_after_a_home_that_went_finds_nothing_of_it(homes: Homes) -> None:
    alice = home(homes, "alice")
    number = berth_projects.of(alice)
    assert write(alice / "file", 5) == 0
    assert delete_home(homes.root, "alice")
    # XFS counts what is deleted a moment later.
    with berth_projects.opened(homes.root) as place:
        wait_until(lambda: not berth_projects._held(place, number).files)
    new = homes.root / "bob"
    new.mkdir()
    assert berth_projects.claim(new) == number
    used, most, _ = berth_projects.usage(new)
    assert used < MB // 10
    assert most == 0


def test_a_limit_is_changed_and_taken_away(disk: Disk, homes: Homes, root: Path) -> None:
    alice = home(homes, "alice")
    assert settle(root, WANTED) == ([], [])
    larger = berth_volumes.Settings(quota=12 * MB + 5, projects=True)
    assert settle(root, larger, dry=True) == ([], ["alice"])
    assert asked(homes, "alice")["quota"] == QUOTA
    assert settle(root, larger) == ([], ["alice"])
    assert settle(root, larger) == ([], []), "kilobytes alone count"
    assert asked(homes, "alice")["quota"] == 12 * MB
    assert write(alice / "fill", 10) == 0
    assert settle(root, WANTED) == ([], ["alice"])
    assert write(alice / "fill", 1) == FULL[disk.kind], "who has more than a new one stays, and gets no more"
    assert settle(root, berth_volumes.PLAIN) == ([], ["alice"])
    assert settle(root, berth_volumes.PLAIN) == ([], [])
    assert asked(homes, "alice")["quota"] == 0
    assert write(alice / "fill", 10) == 0
    assert python(TOUCH, alice, QUOTA // berth_projects.BYTES_PER_FILE).returncode == 0


def of_before(root: Path) -> Path:
    """A home that was there before there were quotas."""
    alice = root / "alice"
    (alice / "folder" / "empty").mkdir(parents=True)
    (alice / "folder" / "file").write_bytes(b"x" * MB)
    os.link(alice / "folder" / "file", alice / "hard")
    (alice / "folder" / "link").symlink_to("file")
    (alice / "out").symlink_to("/etc/passwd")
    (alice / "away").symlink_to("/etc")
    os.mkfifo(alice / "pipe", mode=0o640)
    (alice / "new\nline").touch(mode=0o400)
    for place, _, names in os.walk(alice):
        for path in (Path(place), *(Path(place, name) for name in names), alice / "away"):
            os.chown(path, UID, UID, follow_symlinks=False)
            os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)
    return alice


def test_homes_that_are_there_become_projects(disk: Disk, root: Path, tmp_path: Path) -> None:
    alice = of_before(root)
    berth_volumes.copy(alice, tmp_path / "before")
    assert settle(root, WANTED, dry=True) == (["alice"], [])
    assert berth_projects.of(alice) == 0
    # Another run was killed half-way: some belongs to a project already, and its folder is there.
    (root / ".becoming-alice").mkdir()
    berth_projects.claim(root / ".becoming-alice")
    berth_projects.claim(alice / "folder" / "empty")
    assert settle(root, WANTED) == (["alice"], [])
    assert settle(root, WANTED) == ([], [])
    assert [path.name for path in root.iterdir()] == ["alice"]
    number = berth_projects.of(alice)
    told = (alice, alice / "folder", alice / "folder/empty", alice / "folder/file", alice / "hard", alice / "new\nline")
    assert {project(path) for path in told} == {number}
    # Folders have been written to, and are what they were otherwise.
    for place, _, _ in os.walk(alice):
        os.utime(place, ns=(10**18, 10**18))
    os.utime(tmp_path / "before" / "folder", ns=(10**18, 10**18))
    assert berth_storage.difference(tmp_path / "before", alice) == ""
    assert (alice / "hard").stat().st_nlink == 2
    assert MB <= berth_projects.usage(alice).used < MB + MB // 10
    # A link of another project could not be renamed in a folder of this one.
    move = "import os, sys; os.chdir(sys.argv[1]); [os.rename(name, f'{name}.new') for name in sys.argv[2:]]"
    done = python(move, alice, "folder", "hard", "out", "away", "pipe")
    assert done.returncode == 0, done.stderr
    assert write(alice / "fill", 20) == FULL[disk.kind]


def test_what_a_user_has_made_look_like_a_project_becomes_one(disk: Disk, root: Path) -> None:
    """Before there are quotas, nobody is kept from it."""
    alice = of_before(root)
    for place, inherit in ((alice, 0x200), (alice / "folder", 0)):
        asked = struct.pack("=5I8x", inherit, 0, 0, berth_projects.FIRST + 7, 0).hex()
        assert python(GIVE_AWAY, place, TO_NO_PROJECT[0], asked).returncode == 0
    assert settle(root, WANTED) == (["alice"], [])
    assert write(alice / "folder/fill", 20) == FULL[disk.kind]


@pytest.fixture
def start(tmp_path: Path) -> str:
    """What every berth runs, which brings no notebooks here."""
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o755)
    for name in ("start", "within_quota.py"):
        shutil.copy(FILES / name, tmp_path)
    (tmp_path / "pull").symlink_to("/bin/true")
    return str(tmp_path / "start")


@pytest.mark.parametrize("way", [TO_NO_PROJECT, FROM_NOW_ON_TO_NONE])
def test_nobody_gets_around_it(homes: Homes, way: tuple[int, str], start: str) -> None:
    alice = home(homes, "alice")
    assert write(alice / "file", 1) == 0
    attempt = [PYTHON, "-I", "-S", "-c", GIVE_AWAY, str(alice), *map(str, way)]
    within = as_user("env", f"HOME={alice}", start, *attempt)
    assert within.returncode == errno.EPERM, within.stderr
    assert berth_projects.of(alice) != 0
    assert as_user(*attempt).returncode == 0, "elsewhere it does"
    assert berth_projects.of(alice) == 0


def test_who_has_left_quotas_out_is_not_held(bare: Disk, start: str) -> None:
    """What starts a berth refuses nothing where nothing is bounded."""
    bare.make()
    bare.mount("defaults")
    try:
        place = bare.at / "alice"
        place.mkdir()
        os.chown(place, UID, UID)
        done = as_user("env", f"HOME={place}", start, "sh", "-c", "echo ${BERTH_WITHIN_QUOTA-none}")
        assert done.stdout == "none\n"
    finally:
        bare.unmount()


@pytest.fixture
def unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no systemd here that could keep tar from all else: it is the user alone."""

    def before(target: Path, uid: int, gid: int) -> list[str]:
        ids = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        return ["setpriv", *ids, "env", f"--chdir={target}"]

    monkeypatch.setattr(placing, "as_nobody_else", before)


@pytest.mark.usefixtures("unconfined")
def test_what_comes_into_a_home_counts_to_it(homes: Homes, root: Path) -> None:
    alice = home(homes, "alice")
    for name, size in (("small", 2), ("large", 20)):
        (root / name).mkdir()
        (root / name / "file").write_bytes(bytes(size * MB))
    assert placing.into(root / "small", alice, "restored") == "restored"
    assert (alice / "restored/file").stat().st_uid == UID
    assert 2 * MB <= asked(homes, "alice")["used"] < 3 * MB
    with pytest.raises(MovingError):
        placing.into(root / "large", alice, "more")
    assert not (alice / "more").exists()
    assert asked(homes, "alice")["used"] < 3 * MB


def looked(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What is told of it before anything is changed."""
    monkeypatch.setattr(look_homes, "HOMES", disk.at / "homes")
    # Modules are not where this kernel looks for them, so that it is known by what is loaded alone.
    return look_homes.projects(*look_homes.mounted(disk.at / "homes"))


def test_what_is_missing_is_told_and_mended_as_told(
    bare: Disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.make(*(["mkfs.ext4", "-qF"] if bare.kind == "ext4" else []))
    bare.mount("defaults")
    try:
        found = looked(bare, monkeypatch)
        lacking = {
            "ext4": "it lacks the feature project, and the option prjquota",
            "xfs": "it was not mounted with prjquota",
        }[bare.kind]
        assert (found["able"], found["on"], found["lacking"]) == (True, False, lacking)
        with pytest.raises(OSError, match="is the file system mounted with prjquota"):
            home_of(Homes(bare.at, UID, UID, WANTED), "alice")
        assert not (bare.at / "alice").exists()
        # The table of file systems is this machine's, and cannot be written.
        (tmp_path / "fstab").write_text(f"{bare.device} {bare.at} {bare.kind} prjquota 0 0\n", encoding="utf-8")
        told, _, commands = str(found["mend"]).partition(", then ")
        assert told == "write prjquota into its line of /etc/fstab"
        run("mount", "--bind", str(tmp_path / "fstab"), "/etc/fstab")
        try:
            run("sh", "-c", commands)
        finally:
            run("umount", "/etc/fstab")
        assert looked(bare, monkeypatch) == {"able": True, "on": True, "lacking": "", "mend": ""}
    finally:
        bare.unmount()


# XFS takes the option with its first mount alone, so that it is told another way.
@pytest.mark.parametrize("bare", ["ext4"], indirect=True)
def test_the_root_file_system_counts_once_it_is_writable(bare: Disk) -> None:
    """As a host starts: read-only, and then with what /etc/fstab says."""
    bare.make()
    bare.mount("ro")
    try:
        assert not berth_projects.enforced(bare.at)
        run("mount", "-o", "remount,rw,prjquota", str(bare.at))
        assert berth_projects.enforced(bare.at)
    finally:
        bare.unmount()


def test_a_file_system_without_projects_is_named(tmp_path: Path) -> None:
    assert berth_projects.of(tmp_path) == 0
    assert not berth_projects.enforced(tmp_path)
    with pytest.raises(OSError, match="it has no project quota"):
        berth_projects.usage(tmp_path)
