"""Show how a run is getting on: a live line on a terminal, plain lines elsewhere, or Ansible's own output."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from berth_cli.failures import Failure


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, such as ``1:05``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Progress:
    """Counts what a run does, and shows nothing: for runs whose answer is all that matters.

    Attributes:
        role: The role at work; empty outside of roles.
        task: The name of the task at work.
        done: Tasks begun so far.
        expected: Tasks that the last run of the same kind had; None if it was not remembered.
        changed: Task results so far that changed something on a host.
        spent: Seconds so far by role, without those of tasks outside of roles.
    """

    def __init__(self, expected: int | None = None) -> None:
        self.role = ""
        self.task = ""
        self.done = 0
        self.expected = expected
        self.changed = 0
        self.spent: dict[str, float] = {}
        self._began = time.monotonic()
        self._role_now, self._role_since = "", self._began

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def start(self) -> None:
        """Begin to show the run."""
        self._began = time.monotonic()

    def stop(self) -> None:
        """Leave the screen as the run's last state has it."""
        self._note_time("")

    def begin_task(self, role: str, task: str) -> None:
        """Note that a task begins."""
        if role != self._role_now:
            self._note_time(role)
        if role and role != self.role:
            self._end_role()
            self.role = role
            self._begin_role()
        self.task = task
        self.done += 1

    def _note_time(self, role: str) -> None:
        now = time.monotonic()
        if self._role_now:
            self.spent[self._role_now] = self.spent.get(self._role_now, 0) + now - self._role_since
        self._role_now, self._role_since = role, now

    def note_change(self, host: str, task: str) -> None:
        """Note that a task changed something on a host."""
        self.changed += 1
        self._show_change(host, task)

    def note_waiting(self, text: str) -> None:
        """Note how far something has got that a task waits for."""

    def note_failure(self, failure: Failure) -> None:
        """Note that a task failed on a host."""

    def note_difference(self, text: str) -> None:
        """Note what a task changes in a file (``--diff``)."""

    def note_output(self, text: str) -> None:
        """Note some of Ansible's own output."""

    def _begin_role(self) -> None:
        pass

    def _end_role(self) -> None:
        pass

    def _show_change(self, host: str, task: str) -> None:
        pass


class PlainProgress(Progress):
    """A line for each role, for each change and for each failure, each with the time since the beginning."""

    def __init__(self, console: Console, expected: int | None = None) -> None:
        super().__init__(expected)
        self._console = console
        self._waited = ""

    def note_waiting(self, text: str) -> None:
        """Note how far something has got that a task waits for."""
        if text and text != self._waited:
            self._waited = text
            self._line(f"  {text}")

    def note_failure(self, failure: Failure) -> None:
        """Note that a task failed on a host."""
        self._line(f"  {failure.title()}")

    def note_difference(self, text: str) -> None:
        """Note what a task changes in a file (``--diff``)."""
        self._console.out(text, highlight=False)

    def _begin_role(self) -> None:
        self._line(self.role)

    def _show_change(self, host: str, task: str) -> None:
        self._line(f"  changed on {host}: {task}")

    def _line(self, text: str) -> None:
        # Console.out neither wraps nor takes brackets for markup.
        self._console.out(f"{clock(self.elapsed):>6}  {text}", highlight=False)


class LiveProgress(PlainProgress):
    """A status line that is kept up to date, below one line for each role that is done."""

    def __init__(self, console: Console, expected: int | None = None, *, transient: bool = False) -> None:
        super().__init__(console, expected)
        self._transient = transient
        self._spinner = Spinner("dots")
        self._changed_before = 0
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=8, transient=True, redirect_stderr=False
        )

    def start(self) -> None:
        """Begin to show the run."""
        super().start()
        self._live.start()

    def note_waiting(self, text: str) -> None:
        """Note how far something has got that a task waits for."""
        if text:
            self.task = text

    def stop(self) -> None:
        """Leave the screen as the run's last state has it."""
        super().stop()
        self._end_role()
        self.role = ""
        self._live.stop()

    def _begin_role(self) -> None:
        self._changed_before = self.changed

    def _end_role(self) -> None:
        if self.role and not self._transient:
            changed = self.changed - self._changed_before
            self._line(self.role + (f", {changed} changed" if changed else ""))

    def _show_change(self, host: str, task: str) -> None:
        pass

    def _render(self) -> RenderableType:
        # An estimate from another day must not claim that more is done than there is.
        total = f"/{max(self.expected, self.done)}" if self.expected else ""
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(width=1)
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(justify="right", no_wrap=True)
        doing = Text.assemble((self.role or "starting", "bold"), "  ", self.task)
        counts = f"task {self.done}{total}  {self.changed} changed  {clock(self.elapsed)}"
        line.add_row(self._spinner, doing, counts)
        return line


class OutputProgress(Progress):
    """Ansible's own output, as ansible-playbook prints it (``-v``)."""

    def __init__(self, console: Console, expected: int | None = None) -> None:
        super().__init__(expected)
        self._console = console

    def note_output(self, text: str) -> None:
        """Note some of Ansible's own output."""
        self._console.file.write(f"{text}\n")
        self._console.file.flush()


def choose(console: Console, *, expected: int | None, verbose: bool, answer_only: bool) -> Progress:
    """Choose the way to show a run.

    Args:
        console: Where it is shown.
        expected: How many tasks the run will have, as far as known.
        verbose: Whether Ansible's own output is wanted.
        answer_only: Whether the run is only for the sake of what it reports: then nothing of it stays on the screen.
    """
    if verbose:
        return OutputProgress(console, expected)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console, expected, transient=answer_only)
    return Progress(expected) if answer_only else PlainProgress(console, expected)
