"""What ends a command early, each with its exit code."""

from __future__ import annotations

import enum

import click


class ExitCode(enum.IntEnum):
    """Exit codes of Berth's own; any other one is ansible-playbook's."""

    OK = 0
    TESTS_FAILED = 1
    WRONG_USE = 2
    UNHEALTHY = 3
    INTERRUPTED = 130


class BerthError(click.ClickException):
    """Something the person at the keyboard can put right: the message says what, where and how.

    Attributes:
        code: What the command exits with.
    """

    def __init__(self, message: str, code: int = ExitCode.WRONG_USE) -> None:
        super().__init__(message)
        self.code = code


class Interrupted(BerthError):  # noqa: N818 (the person's wish, not an error)
    """Ctrl-C, or a signal to end, after everything that had been started was stopped."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.INTERRUPTED)
