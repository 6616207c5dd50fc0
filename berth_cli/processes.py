"""Stop what was started: no process of a run may outlive it after Ctrl-C.

Ansible's workers each lead a session of their own, so killing ansible-playbook's process group, which is all that
ansible-runner does, leaves them and what they run behind.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

GRACE_SECONDS = 10.0
"""How long programs may take to end after SIGINT: Ansible cleans up its temporary files on the hosts."""

_POLL_SECONDS = 0.02

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Process:
    """A process, known by more than its id, which may be given to another one.

    Attributes:
        pid: Its id.
        parent: Its parent's id.
        started: When it started, in clock ticks since boot.
    """

    pid: int
    parent: int
    started: int

    def is_alive(self) -> bool:
        """Whether it still runs."""
        now = _read(self.pid)
        return now is not None and now.started == self.started

    def send(self, number: signal.Signals) -> None:
        """Send it a signal if it still runs."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def descendants(pid: int) -> list[Process]:
    """All processes that a process has started, directly or not, and that still run."""
    found: list[Process] = []
    parents = {pid}
    everyone = list(_everyone())
    while parents:
        children = [process for process in everyone if process.parent in parents]
        found += children
        parents = {process.pid for process in children}
    return found


class Interruption:
    """Turns SIGINT, SIGTERM and SIGHUP, while it is entered, into an orderly end of all child processes.

    Whoever runs the children asks :meth:`must_kill` now and then, and calls :meth:`finish` once they have ended.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._signals = 0
        self._deadline: float | None = None
        self._caught: list[Process] = []
        self._before: dict[signal.Signals, signal._HANDLER] = {}
        # Several threads may each wait for a child of their own.
        self._passing_on = threading.Lock()

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._signals > 0

    def must_kill(self) -> bool:
        """Pass a first signal on to the children.

        Returns:
            Whether they have had their time, or a second signal has come.
        """
        if not self.requested:
            return False
        with self._passing_on:
            if self._deadline is None:
                self._deadline = time.monotonic() + self._grace
                self._caught = descendants(os.getpid())
                for process in self._caught:
                    if process.parent == os.getpid():
                        process.send(signal.SIGINT)
                return False
        return self._signals > 1 or time.monotonic() > self._deadline

    def finish(self) -> None:
        """Kill whatever still runs of what ran when the signal came, once it has had its time.

        Ansible ends as soon as it has passed the signal on: modules may still be taking their temporary files away.
        """
        while any(process.is_alive() for process in self._caught) and not self.must_kill():
            time.sleep(_POLL_SECONDS)
        for process in self._caught:
            process.send(signal.SIGKILL)


def _everyone() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            process = _read(int(entry.name))
            if process is not None:
                yield process


def _read(pid: int) -> Process | None:
    try:
        content = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The fields are those of proc_pid_stat(5); the second one is a name in parentheses that may hold anything.
    state, parent, *others = content.rpartition(")")[2].split()
    if state in "ZX":
        return None
    return Process(pid, int(parent), int(others[17]))
