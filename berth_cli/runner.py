"""Run playbooks with ansible-runner: what happens goes to the progress display and a log, what is reported comes back.

Notes on ansible-runner 2.4.3, which this module is written around:

- It takes one playbook: others go on its free command line, which is why all other options go there too, before them.
- Its ``extravars`` end up in the process list: variables go by a file that only this user can read.
- An exception in an event handler leaves ansible-playbook running: it is kept until the run is over.
- It switches host key checking off unless told otherwise, and makes its own fact cache: both are left to ansible.cfg.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tempfile
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import ansible_runner
import yaml

from berth_cli.advice import advice
from berth_cli.errors import BerthError, Interrupted
from berth_cli.failures import TAIL_LINES, Failure, message
from berth_cli.processes import Interruption
from berth_cli.progress import clock
from berth_cli.state import new_log, remember_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from berth_cli.progress import Progress
    from berth_cli.project import Project

REPORT_TASK = "Report"
"""The name of the tasks whose message is a playbook's answer rather than a step of it."""

_CANCEL_POLL_SECONDS = 0.5
_EVENT_LIMIT_BYTES = 256 * 1024 * 1024
"""Above its default of 700,000 bytes, ansible-runner drops a result: a report of log lines may be longer."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        command: Name of the command that asks for it, for the log's name.
        playbooks: Files, run in this order by one ansible-playbook.
        inventory: Absolute path, or a list of hosts with commas.
        arguments: Options for ansible-playbook.
        variables: Extra variables that win over those in ``arguments``; never taken for templates; may be secret.
        passwords: Answers to prompts of ansible-playbook: regular expression to answer.
        colour: Whether Ansible's output may be in colour.
        memory_key: Under which the number of tasks is remembered; None: it is not.
    """

    command: str
    playbooks: Sequence[Path]
    inventory: str
    arguments: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    passwords: Mapping[str, str] = field(default_factory=dict)
    colour: bool = False
    memory_key: str | None = None


@dataclass(frozen=True)
class Report:
    """What a playbook's ``Report`` task said on one host."""

    host: str
    data: Any


@dataclass(frozen=True)
class Outcome:
    """A run that succeeded.

    Attributes:
        reports: In the order in which they came.
        changed: Task results that changed something.
        elapsed: Seconds.
        log: File with Ansible's whole output.
        spent: Seconds by role.
    """

    reports: Sequence[Report]
    changed: int
    elapsed: float
    log: Path
    spent: Mapping[str, float] = field(default_factory=dict)


class PlaybookFailed(BerthError):  # noqa: N818 (it says what happened)
    """Ansible ended with an error; the exit code is Ansible's own.

    Attributes:
        failures: Tasks that failed for good, host by host; empty if Ansible did not get as far.
        reports: What other hosts reported before.
    """

    reports: Sequence[Report] = ()

    def __init__(
        self, exit_code: int, failures: Sequence[Failure], output: Sequence[str], log: Path, inventory: str
    ) -> None:
        said = [
            _with_advice(failure.title(), failure.message, wanted=failure.on_the_way or not failure.role)
            for failure in failures
        ]
        if not said:
            said = [_with_advice(f"ansible-playbook ended with exit code {exit_code}", "\n".join(output), inventory)]
        super().__init__("\n\n".join([*said, f"Whole output: {log}"]), exit_code)
        self.failures = failures


def run(project: Project, request: Request, progress: Progress) -> Outcome:
    """Run playbooks and wait until they are done.

    Args:
        project: The checkout, where Ansible runs and finds its configuration.
        request: What to run.
        progress: Is told what happens.

    Raises:
        PlaybookFailed: Ansible ended with an error.
        Interrupted: Ctrl-C or a signal ended the run; nothing of it still runs.
        BerthError: The log cannot be written.
    """
    log = new_log(request.command)
    with (
        tempfile.TemporaryDirectory(prefix="berth-") as private,
        log.open("w", encoding="utf-8", errors="replace") as stream,
        Interruption() as interruption,
    ):
        recorder = _Recorder(progress, stream)
        runner = _prepare(project, request, Path(private), recorder, interruption)
        stream.write(f"$ {shlex.join(runner.config.command)}\n")
        progress.start()
        try:
            runner.run()
        finally:
            progress.stop()
            interruption.finish()
    if interruption.requested:
        raise Interrupted(
            f"stopped after {clock(progress.elapsed)}; what was done so far stays, and the same command carries on"
            f" from there\nWhole output: {log}"
        )
    recorder.raise_error()
    # A process that was killed from outside has no exit code.
    exit_code = 1 if runner.rc is None else int(runner.rc)
    if exit_code:
        failed = PlaybookFailed(exit_code, recorder.final_failures(), recorder.output, log, request.inventory)
        failed.reports = recorder.reports
        raise failed
    if request.memory_key:
        remember_tasks(request.memory_key, progress.done)
    return Outcome(recorder.reports, progress.changed, progress.elapsed, log, progress.spent)


def _prepare(
    project: Project, request: Request, private: Path, recorder: _Recorder, interruption: Interruption
) -> ansible_runner.Runner:
    arguments = ["-i", request.inventory, *request.arguments]
    if request.variables:
        arguments += ["-e", f"@{_write_variables(private / 'variables.yml', request.variables)}"]
    *first, last = map(str, request.playbooks)

    settings = private / "env" / "settings"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"pexpect_timeout": _CANCEL_POLL_SECONDS}), encoding="utf-8")

    runner = ansible_runner.interface.init_runner(
        private_data_dir=str(private),
        project_dir=str(project.root),
        playbook=last,
        cmdline=shlex.join([*arguments, *first]),
        envvars=project.environment()
        | {"MAX_EVENT_RES": str(_EVENT_LIMIT_BYTES)}
        | ({} if request.colour else {"ANSIBLE_NOCOLOR": "1"}),
        passwords=dict(request.passwords),
        fact_cache_type="as in ansible.cfg",
        suppress_env_files=True,
        quiet=True,
        event_handler=recorder.handle,
        cancel_callback=interruption.must_kill,
    )
    if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:
        runner.config.env.pop("ANSIBLE_HOST_KEY_CHECKING", None)
    return runner


class _Recorder:
    """Takes ansible-runner's events and keeps of them what outlives the run."""

    def __init__(self, progress: Progress, log: IO[str]) -> None:
        self.reports: list[Report] = []
        self.output: deque[str] = deque(maxlen=TAIL_LINES)
        self._progress = progress
        self._log = log
        self._failures: list[Failure] = []
        self._lost: Counter[str] = Counter()
        self._error: Exception | None = None

    def handle(self, event: dict[str, Any]) -> bool:
        """Take one event; returns False, so that ansible-runner does not keep it in a file."""
        try:
            self._take(event)
        except Exception as error:  # noqa: BLE001 (see the notes on top: raised once the run is over)
            self._error = self._error or error
        return False

    def raise_error(self) -> None:
        """Raise what went wrong in :meth:`handle`, if anything did."""
        if self._error:
            raise self._error

    def final_failures(self) -> list[Failure]:
        """The failures that ended the run, without those that a playbook caught (``rescue``) or ignored."""
        final = []
        for host, count in self._lost.items():
            final += [failure for failure in self._failures if failure.host == host][-count:]
        return final

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("event")
        data = event.get("event_data") or {}
        text = event.get("stdout") or ""
        if text:
            plain = _ANSI.sub("", text)
            self._log.write(f"{plain}\n")
            self._log.flush()
            self.output.extend(line for line in plain.splitlines() if line.strip())
            self._progress.note_output(text)
        if kind == "playbook_on_stats":
            self._lost = Counter(data.get("failures") or {}) + Counter(data.get("dark") or {})
        elif kind == "runner_on_file_diff" and text:
            self._progress.note_difference(text)
        elif data.get("task") == REPORT_TASK:
            if kind == "runner_on_ok":
                self.reports.append(Report(data["host"], data["res"].get("msg")))
        elif kind == "playbook_on_task_start":
            self._progress.begin_task(data.get("role", ""), data.get("task", ""))
        elif kind == "runner_retry":
            self._progress.note_waiting(_waiting(data.get("res") or {}))
        elif kind == "runner_on_ok" and data["res"].get("changed"):
            self._progress.note_change(data["host"], data["task"])
        elif kind == "runner_on_unreachable" or (kind == "runner_on_failed" and not data.get("ignore_errors")):
            self._note_failure(data, unreachable=kind == "runner_on_unreachable")

    def _note_failure(self, data: Mapping[str, Any], *, unreachable: bool) -> None:
        failure = Failure(data["host"], data.get("role", ""), data["task"], message(data.get("res") or {}), unreachable)
        self._failures.append(failure)
        self._progress.note_failure(failure)


def _waiting(result: Mapping[str, Any]) -> str:
    """How far has got what a task waits for, if the program that it asks again and again says so (``progress``)."""
    try:
        return str(json.loads(result.get("stdout", ""))["progress"])
    except (ValueError, KeyError, TypeError):
        return ""


class _LiteralText(str):
    """Text that Ansible must not take for a template."""

    __slots__ = ()


class _VariablesDumper(yaml.SafeDumper):
    """Writes variables files for Ansible."""


_VariablesDumper.add_representer(
    _LiteralText, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"')
)


def _literal(value: object) -> object:
    if isinstance(value, str):
        return _LiteralText(value)
    if isinstance(value, dict):
        return {key: _literal(content) for key, content in value.items()}
    if isinstance(value, list):
        return [_literal(content) for content in value]
    return value


def _write_variables(path: Path, variables: Mapping[str, Any]) -> Path:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(yaml.dump(_literal(dict(variables)), Dumper=_VariablesDumper), encoding="utf-8")
    return path


def _with_advice(title: str, text: str, inventory: str | None = None, *, wanted: bool = True) -> str:
    # What a role's own task says needs no guessing.
    what = advice(text, inventory) if wanted else None
    return f"{title}\n{_indent(text)}" + (f"\n  {what}" if what else "")


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
