"""`python -m berth_dock`: the service, on sockets that systemd listens on.

The socket named `hub` takes what the hub may ask, the one named `look` only asks who is there.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

from berth_dock.engine import Engine
from berth_dock.operations import Operations
from berth_dock.policy import HOMES, PolicyFile
from berth_dock.server import serve, tell

FIRST_DESCRIPTOR = 3
"""Of those that systemd hands over (sd_listen_fds)."""


def handed_over() -> dict[str, socket.socket]:
    """The listening sockets, by their names."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return {name: socket.socket(fileno=FIRST_DESCRIPTOR + number) for number, name in enumerate(names) if name}


def main() -> int:
    """Entry point; the exit code is 2 if there are no sockets to serve."""
    parser = argparse.ArgumentParser(description="Berth's broker between hub and container engine")
    parser.add_argument("--settings", type=Path, default=Path("/etc/berth/hub.json"), help="the hub's settings")
    parser.add_argument("--engine", type=Path, default=Path("/run/docker.sock"), help="the engine's socket")
    parser.add_argument("--homes", type=Path, default=HOMES, help="directory of all homes")
    arguments = parser.parse_args()
    operations = Operations(Engine(arguments.engine), PolicyFile(arguments.settings, arguments.homes, tell).current)
    judges = {"hub": operations.carry_out, "look": operations.look}
    sockets = handed_over()
    if set(sockets) != set(judges):
        print("berth-dock: runs as a service of systemd's, started by berth-dock.socket", file=sys.stderr)
        return 2
    serve({name: (sockets[name], judge) for name, judge in judges.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
