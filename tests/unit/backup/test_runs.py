"""Backups and checks with a real restic, into a folder."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from berth_backup import database, restic, runs, state
from berth_backup.settings import PASSWORD

from tests.unit.backup.conftest import flip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from berth_backup.settings import Settings

    from tests.unit.backup.conftest import Host


def restored(host: Host, to: str = "restored") -> Path:
    target = host.root / to
    restic.run(host.settings, "restore", "latest", "--target", str(target))
    return target / host.root.relative_to("/")


def test_what_is_backed_up_is_there_again(host: Host) -> None:
    host.write("homes/alice/Ünïcode \n name.txt", "hers")
    host.write("etc/hub.json", "{}")
    assert runs.backup(host.settings)
    there = restored(host)
    assert (there / "homes/alice/Ünïcode \n name.txt").read_text(encoding="utf-8") == "hers"
    assert (there / "etc/hub.json").exists()
    assert not (there / "lib/hub/jupyterhub.sqlite").exists(), "the live file may be half written"
    assert database.accounts(there / "lib/backup/staged/jupyterhub.sqlite") == {"alice": "2026-01-01 00:00:00"}
    result = host.in_state("good")
    assert result == host.in_state("backup")
    assert result["result"] == "ok"
    assert not result["errors"]


def test_only_so_many_are_kept(host: Host) -> None:
    for number in range(4):
        host.write("homes/alice/file", str(number))
        assert runs.backup(host.settings)
    assert len(restic.snapshots(host.settings)) == 2
    assert (restored(host) / "homes/alice/file").read_text(encoding="utf-8") == "3"


def test_a_database_is_copied_whole_while_it_is_written_to(host: Host) -> None:
    """Two tables that a writer always changes together are never found apart."""
    with contextlib.closing(sqlite3.connect(host.database)) as made:
        made.executescript("CREATE TABLE a (n INTEGER); CREATE TABLE b (n INTEGER, pad TEXT);")
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(host.database, timeout=60)) as connection:
            number = 0
            while not stop.is_set():
                number += 1
                connection.execute("INSERT INTO a VALUES (?)", (number,))
                connection.execute("INSERT INTO b VALUES (?, ?)", (number, "x" * 5000))
                connection.commit()
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(60)
        for number in range(20):
            copied = host.root / f"copy{number}"
            database.copy(host.database, copied)
            with contextlib.closing(sqlite3.connect(copied)) as found:
                counts = found.execute("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)").fetchone()
            assert counts[0] == counts[1] > 0
    finally:
        stop.set()
        writer.join()


def test_a_damaged_database_is_told_and_the_homes_are_safe_all_the_same(host: Host) -> None:
    with contextlib.closing(sqlite3.connect(host.database)) as made:
        made.executemany("INSERT INTO users VALUES (?, 'now')", [("x" * 900,)] * 50)
        made.commit()
    content = bytearray(host.database.read_bytes())
    content[4096:8192] = b"\x5a" * 4096
    host.database.write_bytes(content)
    host.write("homes/alice/file", "hers")
    assert not runs.backup(host.settings)
    result = host.in_state("backup")
    assert result["result"] == "incomplete"
    assert "the hub's database is not in the snapshot" in result["message"]
    assert "good" not in host.results()
    assert (restored(host) / "homes/alice/file").exists()


def test_a_flipped_bit_is_found(host: Host) -> None:
    host.write("homes/alice/file", "hers" * 10000)
    assert runs.backup(host.settings)
    assert runs.verify(host.settings, 100)
    pack = max((host.root / "repository" / "data").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    flip(pack, 50)
    assert not runs.verify(host.settings, 100)
    result = host.in_state("verify")
    assert result["result"] == "failed"
    assert str(host.root / "repository") in result["message"]


def test_another_key_is_told_by_its_variable(host: Host) -> None:
    assert runs.backup(host.settings)
    Path(host.settings.secrets, PASSWORD).write_text("something-else-entirely\n", encoding="utf-8")
    assert not runs.backup(host.settings)
    assert "backup_password" in host.in_state("backup")["message"]
    assert host.in_state("good")["result"] == "ok", "the last good one is remembered"


def test_a_repository_that_is_gone_is_not_made_anew(host: Host) -> None:
    assert runs.backup(host.settings)
    shutil.rmtree(host.settings.repository)
    assert not runs.backup(host.settings)
    assert "is not there: mount it" in host.in_state("backup")["message"]
    Path(host.settings.repository).mkdir()
    assert not runs.backup(host.settings), "an empty mount point"
    assert "is not there any more" in host.in_state("backup")["message"]
    assert list(Path(host.settings.repository).iterdir()) == []


def test_a_disk_is_not_filled(host: Host) -> None:
    host.change(free_min_mb=10**9)
    assert not runs.backup(host.settings)
    assert "backup_free_min_mb" in host.in_state("backup")["message"]


def test_nobody_who_answers_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restic, "OPEN_SECONDS", 10)
    host.change(repository="rest:http://127.0.0.1:9/x")
    assert not runs.backup(host.settings)
    message = host.in_state("backup")["message"]
    assert "rest:http://127.0.0.1:9/x" in message
    # Restic 0.18 tries again and again, and is stopped.
    assert "connection refused" in message or "did not answer within 10 s" in message


def test_a_server_that_sftp_does_not_reach_is_told(host: Host) -> None:
    host.change(repository="sftp://nobody@127.0.0.1:9/x")
    assert not runs.backup(host.settings)
    assert "sftp://nobody@127.0.0.1:9/x is not reached" in host.in_state("backup")["message"]
    assert "onnection refused" in host.in_state("backup")["message"]


def test_sftp_is_reached_with_the_sites_key_and_asks_nobody(host: Host) -> None:
    host.change(repository="sftp:berth@nas.example.org:/backup")
    (option,) = [part for part in restic.command(host.settings) if part.startswith("sftp.command=")]
    assert "StrictHostKeyChecking=yes" in option
    assert "BatchMode=yes" in option
    assert option.endswith("berth@nas.example.org -s sftp")
    host.change(repository="sftp://berth@nas.example.org:2222/backup")
    (option,) = [part for part in restic.command(host.settings) if part.startswith("sftp.command=")]
    assert option.endswith("-p 2222 berth@nas.example.org -s sftp")


def test_a_file_that_somebody_removes_meanwhile_is_no_failure(host: Host) -> None:
    watch = runs._Watch(host.settings)
    watch.take({"message_type": "error", "error": {"Op": "lstat", "Path": "/x", "Err": 2}, "item": "/x"})
    watch.take({"message_type": "error", "error": {"message": "lstat /x: no such file or directory"}, "item": "/x"})
    assert (watch.errors, watch.vanished) == ([], 2)
    watch.take({"message_type": "error", "error": {"Op": "open", "Path": "/y", "Err": 13}, "item": "/y"})
    assert watch.errors == ["/y: Permission denied"]


def test_two_runs_wait_for_one_another(host: Host) -> None:
    """The second begins when the first has ended: restic's own lock would make it fail."""
    program = (
        "import sys; from pathlib import Path; from berth_backup import runs, settings;"
        "sys.exit(0 if runs.backup(settings.load(Path(sys.argv[1]))) else 1)"
    )
    file = host.write_settings()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, file], env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
        )
        for _ in range(3)
    ]
    assert [process.wait(100) for process in started] == [0, 0, 0]


@contextlib.contextmanager
def another_host_backs_up(host: Host) -> Iterator[Callable[[], None]]:
    """A second restic holds a lock, which bars others from what takes it for itself; to be called to end it."""
    call = restic.command(host.settings, "backup", "--stdin", "--host", "another.example.org")
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as other:
        is_locked(host)

        def end() -> None:
            assert other.stdin
            other.stdin.close()
            other.wait(60)

        try:
            yield end
        finally:
            end()


@contextlib.contextmanager
def another_host_checks(host: Host) -> Iterator[Callable[[], None]]:
    """A second restic has the repository for itself, and is halted in the middle; to be called to let it go on."""
    with subprocess.Popen(restic.command(host.settings, "check", "--read-data"), stdout=subprocess.DEVNULL) as other:
        is_locked(host)
        other.send_signal(signal.SIGSTOP)

        def end() -> None:
            other.send_signal(signal.SIGCONT)
            other.wait(60)

        try:
            yield end
        finally:
            end()


def is_locked(host: Host) -> None:
    locks = host.root / "repository/locks"
    for _ in range(60_000):
        if any("-tmp-" not in path.name for path in locks.iterdir()):
            return
        time.sleep(0.001)
    pytest.fail("no lock")


def ends_when_waited_for(monkeypatch: pytest.MonkeyPatch, end: Callable[[], None]) -> list[str]:
    """Let the other host end as soon as it is waited for; returns what is shown."""
    shown: list[str] = []
    show = state.show

    def take(settings: Settings, text: str) -> None:
        show(settings, text)
        shown.append(text)
        if text.startswith("waiting for another host"):
            end()

    monkeypatch.setattr(state, "show", take)
    monkeypatch.setattr(runs, "LOCKED_PAUSE_SECONDS", 0.1)
    return shown


@pytest.mark.parametrize(
    ("other", "run"),
    [
        (another_host_checks, runs.backup),
        (another_host_backs_up, runs.backup),
        (another_host_backs_up, lambda settings: runs.verify(settings, 100)),
    ],
    ids=["to back up", "to let go of old snapshots", "to check"],
)
def test_a_repository_that_another_host_has_locked_is_waited_for(
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    other: Callable[[Host], contextlib.AbstractContextManager[Callable[[], None]]],
    run: Callable[[Settings], bool],
) -> None:
    assert runs.backup(host.settings)
    with other(host) as end:
        shown = ends_when_waited_for(monkeypatch, end)
        assert run(host.settings)
    assert [text for text in shown if text.startswith("waiting")]
    assert "note" not in host.in_state("backup")


def test_a_snapshot_counts_though_old_ones_could_not_go(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "LOCKED_SECONDS", 0)
    assert runs.backup(host.settings)
    with another_host_backs_up(host):
        assert runs.backup(host.settings)
    assert host.in_state("good") == host.in_state("backup")
    note = "old snapshots stay until the next time: "
    assert host.in_state("backup")["note"].startswith(f"{note}{host.settings.repository} is in use by another run")
    assert f", ok: {note}" in capsys.readouterr().out


def test_a_check_that_is_locked_out_is_no_damage(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LOCKED_SECONDS", 0)
    assert runs.backup(host.settings)
    assert runs.verify(host.settings, 50)
    found = host.in_state("verify")
    with another_host_backs_up(host):
        assert not runs.verify(host.settings, 100)
    assert host.in_state("verify") == found
    assert "is in use by another run of restic" in host.in_state("verify_put_off")["message"]
    assert runs.verify(host.settings, 100)
    assert host.results()["verify_put_off"] is None


def test_a_backup_that_is_locked_out_fails(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LOCKED_SECONDS", 0)
    assert runs.backup(host.settings)
    with another_host_checks(host):
        assert not runs.backup(host.settings)
    assert "is in use by another run of restic" in host.in_state("backup")["message"]


def test_only_restics_own_word_is_a_lock(host: Host) -> None:
    said = "unable to create lock in backend: repository is already locked exclusively by PID 7 on a by root\nmore"
    assert restic.explained(host.settings, 1, said).locked
    assert restic.explained(host.settings, 1, f"repo already locked, waiting up to 0s for the lock\n{said}").locked
    assert restic.explained(host.settings, 1, f"create exclusive lock\nFatal: {said}").locked
    assert restic.explained(host.settings, 11, "whatever").locked
    assert not restic.explained(host.settings, 1, "/homes/alice/is already locked: input/output error").locked


def test_progress_is_for_people() -> None:
    message = {"percent_done": 0.375, "files_done": 3, "total_files": 8, "bytes_done": 3e6, "total_bytes": 8e6}
    assert runs.progress(message) == "37 %: 3 of 8 files, 3 of 8 MB"


def test_the_manifest_tells_what_another_host_must_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "USERS", ("root", "nobody-of-that-name"))
    monkeypatch.setattr(runs, "GROUPS", ("root",))
    found = runs.manifest()
    assert (found["users"], found["groups"]) == ({"root": 0}, {"root": 0})


def test_what_comes_and_goes_is_in_no_snapshot(host: Host) -> None:
    for path in ("homes/alice/file", "homes/.deleted-x/home/file", "homes/alice/.kept.new", "lib/backup/.results.new"):
        host.write(path, "text")
    assert runs.backup(host.settings)
    listed = restic.run(host.settings, "ls", "--no-lock", "latest")
    there = [line.removeprefix(f"{host.root}/") for line in listed.splitlines()]
    assert {"homes/alice/file", "homes/alice/.kept.new"} <= set(there)
    assert [path for path in there if ".deleted" in path or ".results" in path] == []
