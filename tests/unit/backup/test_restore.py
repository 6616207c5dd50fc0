"""What a restore refuses, and that it loses nothing, with a real restic."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from berth_backup import database, restic, restore, runs, state
from berth_backup.restore import RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from berth_backup.settings import Settings

    from tests.unit.backup.conftest import Host

DATE = "2026-01-02_030405"
CHILD = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}


@pytest.fixture
def saved(host: Host) -> Host:
    """A host with one snapshot."""
    host.write("homes/alice/file", "old")
    host.write("etc/secrets/cookie", "old")
    host.write("etc/hub.json", "old")
    host.write("lib/hub/more", "old")
    assert runs.backup(host.settings)
    return host


def test_everything_comes_back_and_what_was_there_is_aside(saved: Host) -> None:
    saved.change(paths=[*saved.settings.paths, str(saved.root / "a folder that is not there")])
    saved.write("homes/alice/file", "new")
    saved.write("homes/bob/file", "new")
    saved.write("etc/secrets/cookie", "new")
    saved.write("etc/hub.json", "new")
    saved.write("lib/image/base", "of the host")
    with contextlib.closing(sqlite3.connect(saved.database)) as changed:
        changed.execute("INSERT INTO users VALUES ('bob', '2026-02-01 00:00:00')")
        changed.commit()
    plan = restore.look(saved.settings, "latest", overwrite=True)
    restore.fetch(saved.settings, plan["id"], DATE)
    assert (saved.root / "homes/alice/file").read_text() == "new", "people work on meanwhile"
    restore.swap(saved.settings, DATE)
    assert (saved.root / "homes/alice/file").read_text() == "old"
    assert (saved.root / f"homes/.restore-{DATE}/before/alice/file").read_text() == "new"
    assert not (saved.root / "homes/bob").exists()
    assert (saved.root / f"homes/.restore-{DATE}/before/bob/file").read_text() == "new"
    assert (saved.root / "etc/secrets/cookie").read_text() == "old"
    assert (saved.root / f"etc/.restore-{DATE}/before/secrets/cookie").read_text() == "new"
    assert (saved.root / "etc/hub.json").read_text() == "new", "settings are the inventory's"
    assert (saved.root / "lib/image/base").read_text() == "of the host"
    assert list(database.accounts(saved.database)) == ["alice"]
    assert saved.results()["backup"], "results of backups are the host's"
    # And what is aside is in no snapshot.
    assert runs.backup(saved.settings)
    restore.fetch(saved.settings, restore.resolve(saved.settings, "latest")["id"], "later")
    assert list((saved.root / "homes/.restore-later/fetched").rglob(".restore-*")) == []


def test_newer_files_in_shared_folders_elsewhere_count(host: Host) -> None:
    host.change(paths=[*host.settings.paths, str(host.root / "mnt"), str(host.root / "shared")])
    for path in ("mnt/archive/file", "shared/file", "lib/hub/more"):
        host.write(path, "new")
    found = restore.newer_files(host.settings, dt.datetime.fromtimestamp(0, dt.UTC))
    assert list(found) == [str(host.root / "mnt/archive/file")]


def test_a_folder_that_is_a_file_system_of_its_own_is_refused_before_anything_is_changed(
    saved: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a link, whose folder is on the file system of memory; all folders are somebody else's.
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (saved.root / "mnt").symlink_to(elsewhere)
        saved.change(paths=[*saved.settings.paths, str(saved.root / "mnt")])
        with pytest.raises(RestoreError, match=f"{saved.root / 'mnt'} is a file system of its own"):
            restore.look(saved.settings, "latest", overwrite=True)
    (saved.root / "mnt").unlink()
    assert restore.look(saved.settings, "latest", overwrite=True)["id"]


def test_newer_data_is_named(saved: Host) -> None:
    restore.look(saved.settings, "latest", overwrite=False)
    path = saved.write("homes/alice/later", "new")
    later = dt.datetime.now(dt.UTC).timestamp() + 60
    os.utime(path, (later, later))
    with pytest.raises(RestoreError, match=r"newer data on the host: .*homes/alice/later.*restore_overwrite=true"):
        restore.look(saved.settings, "latest", overwrite=False)
    path.unlink()
    with contextlib.closing(sqlite3.connect(saved.database)) as changed:
        changed.execute("INSERT INTO users VALUES ('bob', '2026-02-01 00:00:00')")
        changed.commit()
    with pytest.raises(RestoreError, match="account bob"):
        restore.look(saved.settings, "latest", overwrite=False)
    assert restore.look(saved.settings, "latest", overwrite=True)["short"]


def test_a_file_that_goes_while_it_is_looked_at_is_passed_over(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("before", "gone", "later"):
        host.write(f"homes/alice/{name}")
    for name in ("a", "b"):
        host.write(f"homes/bob/{name}")
    walk = os.walk

    def walk_while_people_work(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for place, folders, names in walk(folder):
            if place.endswith("alice"):
                Path(place, "gone").unlink()
            if place.endswith("bob"):
                shutil.rmtree(place)
                Path(place).touch()
            yield place, folders, names

    monkeypatch.setattr(os, "walk", walk_while_people_work)
    found = restore.newer_files(host.settings, dt.datetime.fromtimestamp(0, dt.UTC))
    assert sorted(Path(path).name for path in found) == ["before", "later"]


def test_a_snapshot_that_is_not_there_is_told_with_those_that_are(saved: Host) -> None:
    short = restore.resolve(saved.settings, "latest")["short_id"]
    assert restore.resolve(saved.settings, short[:5])["short_id"] == short
    with pytest.raises(RestoreError, match=f"0 snapshots .* begin with 'ffff0000'.*{short}"):
        restore.resolve(saved.settings, "ffff0000")
    saved.change(host="another.example.org")
    with pytest.raises(RestoreError, match=r"has no snapshot of another\.example\.org"):
        restore.resolve(saved.settings, "latest")


def test_newer_versions_are_refused_and_older_ones_are_not() -> None:
    host = {"berth": "0.2.0", "jupyterhub": "6.1.1"}
    restore.refuse_newer_version({"berth": "0.1.9", "jupyterhub": "5.10.0"}, host)
    restore.refuse_newer_version(host, host)
    with pytest.raises(RestoreError, match=r"jupyterhub 6\.10\.0, and the host has 6\.1\.1"):
        restore.refuse_newer_version({"berth": "0.2.0", "jupyterhub": "6.10.0"}, host)


def test_a_user_gets_the_home_back_within_it_and_nothing_is_overwritten(saved: Host) -> None:
    outside = saved.write("elsewhere/kept", "kept")
    saved.write("homes/alice/file", "new")
    (saved.root / "homes/alice/restored-2026-01-02").symlink_to(outside.parent)
    done = restore.restore_user(saved.settings, "latest", "alice", "2026-01-02")
    assert done["folder"] == "restored-2026-01-02-2", "a link that the user has put there is not followed"
    assert (saved.root / "homes/alice/restored-2026-01-02-2/file").read_text() == "old"
    assert (saved.root / "homes/alice/file").read_text() == "new"
    assert [path.name for path in outside.parent.iterdir()] == ["kept"]
    assert sorted(path.name for path in (saved.root / "homes").iterdir()) == ["alice"]


def test_a_home_that_is_gone_is_made(saved: Host) -> None:
    shutil.rmtree(saved.root / "homes/alice")
    done = restore.restore_user(saved.settings, "latest", "alice", "2026-01-02")
    assert (saved.root / "homes/alice" / done["folder"] / "file").read_text() == "old"


def test_nobodys_home_is_told(saved: Host) -> None:
    with pytest.raises(RestoreError, match="has no home of 'bob'"):
        restore.restore_user(saved.settings, "latest", "bob", "2026-01-02")
    assert not (saved.root / "homes/bob").exists()


def test_what_an_interrupted_restore_has_left_goes_and_what_others_have_does_not(saved: Host) -> None:
    homes = saved.root / "homes"
    way = str(homes.relative_to("/"))
    for day in ("2026-01-01", "2026-01-02"):
        saved.write(f"homes/.restore-{day}-alice/{way}/alice/file", "half")
    kept = [
        saved.write(f"homes/.restore-{DATE}/before/alice/file", "of the whole host's restore"),
        saved.write(f"homes/.restore-{DATE}-alice/before/file", "of a part of that name"),
        saved.write(f"homes/.restore-2026-01-02-03-alice/{way}/03-alice/file", "of somebody else"),
        saved.write("homes/.restore-2026-01-03-alice/before/file", "of nobody knows whom"),
        saved.write(f"homes/.restore-2026-01-04-alice/{way}/bob/file", "of nobody knows whom"),
    ]
    for again in ("", "-2"):
        done = restore.restore_user(saved.settings, "latest", "alice", "2026-01-02")
        assert done["folder"] == f"restored-2026-01-02{again}"
        assert (homes / "alice" / done["folder"] / "file").read_text() == "old"
    assert [path for path in kept if not path.exists()] == []
    assert len(list(homes.glob(".restore-*"))) == len(kept)


def test_a_restore_that_is_killed_can_be_run_again(saved: Host) -> None:
    """At each of its steps, as a reboot or the lack of memory ends it: nothing is tidied up."""
    home = saved.root / "homes/alice"
    program = (
        "import os, sys; from pathlib import Path; import berth_volumes; from berth_backup import restore, settings;"
        "module, name = sys.argv[2].split('.'); module = {'restore': restore, 'volumes': berth_volumes}[module];"
        "step = getattr(module, name); setattr(module, name, lambda *a: (step(*a), os._exit(9)));"
        "restore.restore_user(settings.load(Path(sys.argv[1])), 'latest', 'alice', '2026-01-02')"
    )
    file = saved.write_settings()
    (home / "work").write_text("today's", encoding="utf-8")
    for number, step in enumerate(("restore._require_space", "restore._restore", "restore.into", "volumes.make")):
        if step == "volumes.make":
            home.rename(saved.root / "gone")
        killed = subprocess.run([sys.executable, "-c", program, file, step], check=False, env=CHILD)
        assert killed.returncode == 9, step
        done = restore.restore_user(saved.settings, "latest", "alice", f"2026-01-1{number}")
        assert (home / done["folder"] / "file").read_text() == "old"
        assert list((saved.root / "homes").glob(".*")) == []
    assert (saved.root / "gone/work").read_text() == "today's"
    assert (saved.root / "gone/file").read_text() == "old"
    assert (saved.root / "gone/restored-2026-01-02/file").read_text() == "old", "what had come is the user's"


def test_two_restores_of_a_user_wait_for_one_another(saved: Host) -> None:
    program = (
        "import sys; from pathlib import Path; from berth_backup import restore, settings;"
        "restore.restore_user(settings.load(Path(sys.argv[1])), 'latest', 'alice', '2026-01-02')"
    )
    file = saved.write_settings()
    started = [subprocess.Popen([sys.executable, "-c", program, file], env=CHILD) for _ in range(3)]
    assert [process.wait(100) for process in started] == [0, 0, 0]
    restored = sorted((saved.root / "homes/alice").glob("restored-*"))
    assert [(path / "file").read_text() for path in restored] == ["old"] * 3


def test_a_home_comes_back_only_where_there_is_room(saved: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved.root / "homes/alice/large").write_bytes(os.urandom(3_000_000))
    saved.write("homes/bob/file", "x" * 5_000_000)
    assert runs.backup(saved.settings)
    usage = shutil.disk_usage("/")
    free = restore.SPARE_BYTES + 4_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage._replace(free=free))
    assert restore.restore_user(saved.settings, "latest", "alice", "2026-01-02")["folder"], "bob's is not asked for"
    free = restore.SPARE_BYTES + 2_000_000
    with pytest.raises(RestoreError, match=r"202 MB are needed .* and 201 MB are free"):
        restore.restore_user(saved.settings, "latest", "alice", "2026-01-02")
    assert list((saved.root / "homes").glob(".*")) == []


def test_a_snapshot_without_a_database_is_refused(host: Host) -> None:
    host.write("homes/alice/file", "old")
    host.database.write_bytes(b"no database at all, and longer than any header of one is" * 20)
    assert not runs.backup(host.settings)
    with pytest.raises(RestoreError, match="has no database of the hub"):
        restore.fetch(host.settings, restore.resolve(host.settings, "latest")["id"], DATE)
    assert (host.root / "homes/alice/file").read_text() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")
def test_files_follow_the_names_of_their_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two users have changed numbers with one another."""
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    for path, number in ((first, 901), (second, 902), (other, 1000)):
        path.write_text("x", encoding="utf-8")
        os.chown(path, number, number)
    (tmp_path / "link").symlink_to("/etc/passwd")
    now = {"users": {"berth": 902, "berth-proxy": 901}, "groups": {"berth": 902, "berth-proxy": 901}}
    monkeypatch.setattr(runs, "manifest", lambda: now)
    was = {"users": {"berth": 901, "berth-proxy": 902}, "groups": {"berth": 901, "berth-proxy": 902}}
    restore.renumber(tmp_path, json.loads(json.dumps(was)))
    assert [path.stat().st_uid for path in (first, second, other)] == [902, 901, 1000]
    assert [path.stat().st_gid for path in (first, second, other)] == [902, 901, 1000]
    assert Path("/etc/passwd").stat().st_uid == 0


def shown_while(saved: Host, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is shown of a restore of alice's home, while it goes on."""
    shown: list[str] = []
    show = state.show

    def take_down(settings: Settings, text: str, name: str = state.PROGRESS) -> None:
        show(settings, text, name)
        shown.append(state.shown(settings, name))

    monkeypatch.setattr(state, "show", take_down)
    restore.restore_user(saved.settings, "latest", "alice", "2026-01-02")
    return shown


def restic_instead(host: Host, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """Have a shell program found where restic is looked for."""
    program = host.write("bin/restic", f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_a_restore_shows_how_far_it_has_got(saved: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the restic that is here tells it: from 0.16 on of how much, before that how much it has written."""
    (saved.root / "homes/alice/large").write_bytes(os.urandom(20_000_000))
    assert runs.backup(saved.settings)
    # In two seconds rather than at once, so that it is looked at while it writes, however busy the machine is.
    restic_instead(saved, monkeypatch, 'exec /usr/bin/restic "$@" --limit-download 10000')
    monkeypatch.setenv("RESTIC_PROGRESS_FPS", "20")
    monkeypatch.setattr(restic, "PROGRESS_PER_SECOND", "20")
    monkeypatch.setattr(restic, "SILENT_SECONDS", 0.05)
    shown = shown_while(saved, monkeypatch)
    expected = (
        r"alice: (\d+ %: \d+ of \d+ files, \d+ of 20 MB|\d+ MB written \(this restic does not tell of how many\))"
    )
    assert shown.pop(0) == "alice: opening the repository"
    assert shown, "nothing was shown of it"
    assert all(re.fullmatch(expected, text) for text in shown)
    sizes = [int(re.findall(r"(\d+)(?: of 20)? MB", text)[0]) for text in shown]
    assert sizes == sorted(sizes)
    assert 0 < sizes[-1] <= 30
    assert not list(Path(saved.settings.state).glob(f"{state.RESTORING}*")), "it is over"


def test_progress_is_restics_own_where_it_tells() -> None:
    message = {"percent_done": 0.375, "files_restored": 3, "total_files": 8, "bytes_restored": 3e6, "total_bytes": 8e6}
    assert restore.progress(message) == "37 %: 3 of 8 files, 3 of 8 MB"


def test_who_follows_is_told_how_far_it_has_got_and_when_it_has_ended(host: Host) -> None:
    results = host.write("job", json.dumps({"started": 1, "finished": 0}))
    assert restore.follow(host.settings, results, "alice") == {"running": True, "progress": ""}
    state.show(host.settings, "homes: 3 %", restore._note("alice"))
    assert restore.follow(host.settings, results, "alice") == {"running": True, "progress": "homes: 3 %"}
    assert restore.follow(host.settings, results, "bob")["progress"] == ""
    for ended in ({"rc": 0, "stdout": ""}, {"started": 1, "finished": 1, "failed": True}):
        results.write_text(json.dumps(ended), encoding="utf-8")
        assert not restore.follow(host.settings, results, "alice")["running"]


def test_what_restic_could_not_write_is_told(saved: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of restic from 0.17 on, as its messages are; of older ones, as its text is."""
    said = (
        '{"message_type":"error","error":{"message":"write: no space left on device"},"during":"restore","item":"/x"}'
    )
    restic_instead(saved, monkeypatch, f"[ $# -gt 8 ] || exec /usr/bin/restic \"$@\"\necho '{said}'\nexit 1")
    with pytest.raises(restic.ResticError, match=r"the disk of .* is full: /x: write: no space left on device"):
        restic.stream(saved.settings, ["restore", "latest", "--target", "a", "b", "c"], lambda _message: None)


NEWER = """
for argument; do shift; [ "$argument" = --sparse ] || set -- "$@" "$argument"; done
case "$*" in
*" version") echo "restic 0.18.0"; exit;;
*" restore "*) MORE;;
esac
exec /usr/bin/restic "$@"
"""
"""A restic that can bring back holes, as far as it is asked."""


def test_holes_are_asked_no_space_for_where_they_come_back_as_holes(
    saved: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (saved.root / "homes/alice/sparse").open("wb") as file:
        file.truncate(100_000_000)
    (saved.root / "homes/alice/large").write_bytes(os.urandom(3_000_000))
    assert runs.backup(saved.settings)
    snapshot = restore.resolve(saved.settings, "latest")["id"]
    usage = shutil.disk_usage("/")
    free = restore.SPARE_BYTES + 15_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage._replace(free=free))
    restic_instead(saved, monkeypatch, NEWER.replace("MORE", ":"))
    assert restore.restore_user(saved.settings, "latest", "alice", "2026-01-02")["folder"]
    restore.fetch(saved.settings, snapshot, DATE)
    free = restore.SPARE_BYTES + 1_000_000
    with pytest.raises(RestoreError, match=r"MB are needed where .* and 200 MB are free$"):
        restore.fetch(saved.settings, snapshot, "later")
    free = restore.SPARE_BYTES + 15_000_000
    restic_instead(saved, monkeypatch, 'exec /usr/bin/restic "$@"')
    monkeypatch.setattr(restic, "version", lambda _settings: (0, 14))
    with pytest.raises(RestoreError, match=r"29\d MB are needed .*\(Restic before 0\.15 fills the holes"):
        restore.fetch(saved.settings, snapshot, "later")


@pytest.mark.parametrize(("version", "says"), [("0.18.0", "echo STATUS; echo STATUS;"), ("0.14.0", "")])
def test_a_restore_ends_before_it_fills_the_disk(
    saved: Host, monkeypatch: pytest.MonkeyPatch, version: str, says: str
) -> None:
    """Be it that restic says how far it has got, or that this is looked at."""
    usage = shutil.disk_usage("/")
    left = iter([usage.free, usage.free])
    monkeypatch.setattr(restic, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage._replace(free=next(left, restore.SPARE_BYTES - 1)))
    says = says.replace("STATUS", '\'{"message_type":"status","percent_done":0.5}\'')
    restic_instead(saved, monkeypatch, NEWER.replace("0.18.0", version).replace("MORE", f"{says} exec sleep 100"))
    snapshot = restore.resolve(saved.settings, "latest")["id"]
    with pytest.raises(RestoreError, match=r"not enough space .* only 199 MB were left"):
        restore.fetch(saved.settings, snapshot, DATE)
    assert list(saved.root.rglob(".restore-*")) == []
    assert (saved.root / "homes/alice/file").read_text() == "old"
