#!/usr/bin/python3 -I
"""Makes homes of users; the one thing that the hub needs root for.

`serve` answers what comes on the listening socket that is its standard input: with each connection a line with a
user's name in UTF-8 comes in, a line of JSON goes out, {"home": PATH} or {"error": TEXT}; where there are snapshots,
with {"snapshots": PATH}, too. A line that begins with a tab asks for what the home of the name behind it holds, and may
hold, in bytes: {"used": NUMBER, "quota": NUMBER}. It ends when nobody has asked for a while; systemd starts it with the
next request. `path NAME` prints where a home is; `existing NAME...` prints as JSON who of them has one; `delete
NAME...` removes homes for good (no request over the socket can), with their snapshots, and prints whose there were.
"""

import argparse
import contextlib
import json
import os
import socket
import stat
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parent))

# After the line above, since isolated mode has no path to this folder.
import berth_volumes
from berth_names import MAX_NAME_LENGTH, container_name, directory_name

HOME_MODE = 0o700
_DOOMED = ".deleted-"
ASKS_USAGE = b"\t"
"""What a request for figures begins with; no name holds it."""

MAX_REQUEST_BYTES = 4 * MAX_NAME_LENGTH + 2
"""A name in UTF-8 takes at most four bytes a character, comes behind a tab or nothing, and ends with a line feed."""

REQUEST_SECONDS = 10
"""For a line to come, and for an answer to be taken."""

IDLE_SECONDS = 300
"""After which a helper that nobody asks ends: starting one costs a request 0.06 s, keeping one 15 MB."""

AT_ONCE = 64
"""Connections that are answered side by side; further ones wait in the socket's backlog."""


@dataclass(frozen=True)
class Homes:
    """What the helper has been told of homes.

    Attributes:
        root: Directory of all homes.
        uid: Owner of a new home: the user that berths run as.
        gid: Group of a new home.
        wanted: Of quotas and snapshots.
    """

    root: Path
    uid: int
    gid: int
    wanted: berth_volumes.Settings = berth_volumes.PLAIN


def ensure_home(homes: Homes, name: str) -> Path:
    """Make the home of a user unless it is there.

    Raises:
        ValueError: if the name can be nobody's.
        NotADirectoryError: if something else than a directory stands where the home should be.
    """
    home = homes.root / directory_name(name)
    # Made under its own name, never moved there: a rename would replace the empty home that another request has just
    # made, and that a berth may have mounted already.
    with contextlib.suppress(FileExistsError):
        berth_volumes.make(home, HOME_MODE, homes.wanted)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{home} is not a directory: move it away")
    if found.st_uid == os.geteuid() != homes.uid:  # new, or left so by a run that was interrupted here
        os.chown(home, homes.uid, homes.gid, follow_symlinks=False)
    return home


def serve(homes: Homes, listening: socket.socket) -> None:
    """Answer each connection, until there has been none for a while."""
    listening.settimeout(IDLE_SECONDS)
    room = threading.Semaphore(AT_ONCE)

    def take(connection: socket.socket) -> None:
        # Whoever hangs up before the answer needs none.
        with connection, contextlib.suppress(OSError):
            connection.settimeout(REQUEST_SECONDS)
            with connection.makefile("rb") as source, connection.makefile("w", encoding="utf-8") as answer:
                answer_one(homes, source, answer)
        room.release()

    while True:
        room.acquire()
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            return
        threading.Thread(target=take, args=(connection,)).start()


def answer_one(homes: Homes, source: BinaryIO, answer: TextIO) -> None:
    """Answer one request."""
    reply: dict[str, str | int]
    try:
        line = source.readline(MAX_REQUEST_BYTES + 1)
        if len(line) > MAX_REQUEST_BYTES or not line.endswith(b"\n"):
            raise ValueError(f"a request is one line of at most {MAX_REQUEST_BYTES} bytes")
        asked = line[:-1].removeprefix(ASKS_USAGE)
        try:
            name = asked.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"user name {asked!r} is not UTF-8") from error
        reply = usage_of(homes, name) if line.startswith(ASKS_USAGE) else home_of(homes, name)
    except (ValueError, OSError) as error:
        reply = {"error": str(error)}
        print(f"refused: {error}", file=sys.stderr)
    json.dump(reply, answer)
    answer.write("\n")
    answer.flush()


def home_of(homes: Homes, name: str) -> dict[str, str | int]:
    """Where a user's home and its snapshots are, made if they were missing."""
    home = ensure_home(homes, name)
    if not homes.wanted.snapshots:
        return {"home": str(home)}
    return {"home": str(home), "snapshots": str(berth_volumes.make_folder_of_snapshots(homes.root, home.name))}


def usage_of(homes: Homes, name: str) -> dict[str, str | int]:
    """Bytes that a user's home holds, and may hold; who has none yet holds nothing."""
    home = homes.root / directory_name(name)
    used, quota = berth_volumes.usage(home) if home.is_dir() else (0, homes.wanted.quota)
    return {"used": used, "quota": quota}


def delete_home(root: Path, name: str) -> bool:
    """Remove a home and all that is in it. Returns whether there was one.

    Raises:
        ValueError: if the name can be nobody's.
    """
    home = root / directory_name(name)
    # First, and even if there is no home: of a deletion that was interrupted nobody of that name must find any.
    berth_volumes.remove_snapshots(root, home.name)
    if not home.is_dir() or home.is_symlink():
        return False
    # Out of the way first: a name that is used again must not find half of what was.
    doomed = Path(tempfile.mkdtemp(prefix=_DOOMED, dir=root))
    home.rename(doomed / "home")
    berth_volumes.remove(doomed)
    # What a deletion that was interrupted had left, unless another run is at it right now.
    for leftover in root.glob(f"{_DOOMED}*"):
        with contextlib.suppress(OSError):
            berth_volumes.remove(leftover)
    return True


def main() -> int:
    """Entry point; the exit code is 0, or 1 for a name that was refused and for a home that cannot be deleted."""
    parser = argparse.ArgumentParser(description="Homes of Berth's users")
    parser.add_argument("--root", type=Path, default=Path("/srv/berth/homes"), help="directory of all homes")
    parser.add_argument("--uid", type=int, default=1000, help="owner of a new home (default: %(default)s)")
    parser.add_argument("--gid", type=int, default=1000, help="group of a new home (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer requests on the socket that is standard input")
    commands.add_parser("path", help="print where a home is").add_argument("name")
    commands.add_parser("container", help="print what the container of a user's server is called").add_argument("name")
    for command, text in (("existing", "print who has a home"), ("delete", "remove homes and all that is in them")):
        commands.add_parser(command, help=text).add_argument("names", nargs="+", metavar="name")
    arguments = parser.parse_args()
    try:
        if arguments.command == "serve":
            wanted = Homes(arguments.root, arguments.uid, arguments.gid, berth_volumes.settings())
            serve(wanted, socket.socket(fileno=sys.stdin.fileno()))
        elif arguments.command == "path":
            print(arguments.root / directory_name(arguments.name))
        elif arguments.command == "container":
            print(container_name(arguments.name))
        else:
            # All of them before anything is removed: one that is refused leaves the others alone.
            homes = {name: arguments.root / directory_name(name) for name in arguments.names}
            if arguments.command == "existing":
                print(json.dumps([name for name, home in homes.items() if home.is_dir()]))
            else:
                print(json.dumps([name for name in homes if delete_home(arguments.root, name)]))
    except (ValueError, OSError) as error:
        print(f"berth-homes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
