"""Runs on the host, as root: makes files of many kinds, tells what is there, keeps the hub's database busy."""

import hashlib
import json
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

DATABASE = "/var/lib/berth/hub/jupyterhub.sqlite"
MOMENT_NS = 1_700_000_000_123_456_789
MANY = 300


def make(home: Path) -> None:
    """Files of many kinds, the user's own."""
    deep = home / "a folder" / "Ünïcödé ☃ 日本" / "new\nline"
    deep.mkdir(parents=True)
    (home / "empty").touch()
    (home / "empty folder").mkdir(mode=0o750)
    (deep / "text.ipynb").write_text('{"cells": []}\n', encoding="utf-8")
    (home / "script.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (home / "script.sh").chmod(0o755)
    (home / "read only").write_bytes(b"x" * 5000)
    (home / "read only").chmod(0o400)
    (home / "random").write_bytes(os.urandom(3_000_000))
    with (home / "sparse").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(25_000_000)
        file.write(b"in the middle")
    os.link(home / "random", home / "a folder" / "hard link")
    (home / "link").symlink_to("a folder/hard link")
    (home / "broken link").symlink_to("/nowhere/at all")
    (home / "-rf *").write_bytes(b"a name that shells take for something else")
    os.mkfifo(home / "pipe")
    for number in range(MANY):
        (home / "a folder" / f"{number:04}.csv").write_bytes(os.urandom(number * 10))
    paths = [home, *home.rglob("*")]
    for path in paths:
        os.chown(path, 1000, 1000, follow_symlinks=False)
    for number, path in enumerate(sorted(paths, reverse=True)):
        os.utime(path, ns=(MOMENT_NS, MOMENT_NS + number * 1_000_000_007), follow_symlinks=False)


def tell(place: Path) -> None:
    """Print what there is below a folder, but for what restores have put aside: everything that should come back."""
    found = {}
    for path in [place, *place.rglob("*")]:
        name = str(path.relative_to(place))
        if name.startswith(".restore-"):
            continue
        status = path.lstat()
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        links = status.st_nlink if stat.S_ISREG(status.st_mode) else 0
        found[name] = [status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, links, content]
    print(json.dumps(found))


def busy(until_gone: Path) -> None:
    """Write to two tables of the hub's database, always to both, as often as it can."""
    database = sqlite3.connect(DATABASE, timeout=60)
    database.executescript("CREATE TABLE IF NOT EXISTS busy_a (n); CREATE TABLE IF NOT EXISTS busy_b (n, pad);")
    number = 0
    while until_gone.exists():
        number += 1
        database.execute("INSERT INTO busy_a VALUES (?)", (number,))
        database.execute("INSERT INTO busy_b VALUES (?, ?)", (number, "x" * 2000))
        database.commit()
        # The hub's turn.
        time.sleep(0.002)


def counts() -> None:
    """Print how many rows the two tables have, and what SQLite says of the database."""
    database = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)
    rows = database.execute("SELECT (SELECT count(*) FROM busy_a), (SELECT count(*) FROM busy_b)").fetchone()
    print(json.dumps([*rows, database.execute("PRAGMA integrity_check").fetchone()[0]]))


def flip(folder: Path) -> None:
    """Flip one bit in the middle of the largest file; once more flips it back."""
    victim = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    victim.chmod(0o600)
    with victim.open("r+b") as file:
        file.seek(victim.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


if __name__ == "__main__":
    what, *more = sys.argv[1:]
    commands: dict[str, Callable[..., None]] = {
        "make": make,
        "tell": tell,
        "busy": busy,
        "counts": counts,
        "flip": flip,
    }
    commands[what](*map(Path, more))
