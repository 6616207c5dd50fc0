"""``berth test``: every test there is, counted in one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING

import click
from rich.console import Console

from berth_cli import stages
from berth_cli.errors import BerthError, ExitCode, Interrupted
from berth_cli.processes import Interruption
from berth_cli.progress import clock
from berth_cli.project import Project
from berth_cli.results import Count, FailedTest, read_results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rich.status import Status

TAIL_LINES = 40
"""Lines shown of a failed step's log, and of what a failed test says."""

SHOWN_TESTS = 5
"""How many failed tests of a step are shown."""

_REASON = re.compile(r"\s*(?:fatal: |\[ERROR\])")
"""How Ansible begins what it says about a failure."""

_REASON_LINES = 8
"""Lines repeated at the end of such a reason: what comes after them in the log is the tidying up."""

STILL_RUNNING_SECONDS = 60.0
"""How often a sign of life is given where there is no live display."""

_POLL_SECONDS = 0.2


@click.command()
@click.option("--quick", is_flag=True, help=f"Only what needs no container: {', '.join(stages.QUICK_STAGES)}.")
@click.option(
    "--only", type=click.Choice(list(stages.STAGES)), multiple=True, help="Only this stage (may be repeated)."
)
@click.option("--scenario", metavar="NAME", multiple=True, help="Only this scenario of molecule's (may be repeated).")
@click.pass_context
def test(context: click.Context, *, quick: bool, only: tuple[str, ...], scenario: tuple[str, ...]) -> None:
    """Run the tests.

    There are linters, unit tests, syntax checks of the playbooks, molecule's scenarios and browser tests. Logs and
    results are in test-results/. The last line counts: "N passed, N failed". System packages that tests need are
    installed if they are missing and you are root.

    \b
    Examples:
      berth test --quick                 a minute: what needs no container
      berth test --only unit
      berth test --scenario default      one scenario of molecule's
    """
    project = context.find_object(Project) or Project()
    known = stages.scenarios(project)
    for name in scenario:
        if name not in known:
            raise BerthError(f'there is no scenario "{name}" in molecule/: there are {", ".join(known) or "none"}')
    names = only or (["molecule"] if scenario else stages.QUICK_STAGES if quick else list(stages.STAGES))
    total = Run(project, Console(highlight=False)).run(stages.plan(project, names, scenario))
    click.echo(str(total))
    if total.failed:
        context.exit(ExitCode.TESTS_FAILED)


class Run:
    """One run of stages.

    Attributes:
        failures: What failed, to be listed at the end: a line for each step and for each of its tests.
    """

    def __init__(self, project: Project, console: Console) -> None:
        self.failures: list[str] = []
        self._project = project
        self._console = console
        self._results = stages.results_dir(project)
        self._telling = threading.Lock()
        self._environment = {
            **os.environ,
            **project.environment(),
            "ANSIBLE_HOME": str(project.root / ".ansible"),
            "BERTH_TEST_RESULTS": str(self._results),
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, planned: Sequence[stages.Stage]) -> Count:
        """Run all stages and tell about each; returns the count of all."""
        self._results.mkdir(exist_ok=True)
        total = Count()
        failed: set[str] = set()
        with Interruption() as interruption:
            for stage in planned:
                began = time.monotonic()
                self._say(f"{stage.name}: {len(stage.steps)} to run")
                count = self._run_stage(stage, failed, interruption)
                if count.failed:
                    failed.add(stage.name)
                verdict = "FAILED" if count.failed else "ok"
                self._say(f"{stage.name}: {verdict} in {clock(time.monotonic() - began)} ({count})")
                total += count
        if self.failures:
            self._say("\nFailed:")
            for line in self.failures:
                self._say(f"  {line}")
        return total

    def _run_stage(self, stage: stages.Stage, failed: set[str], interruption: Interruption) -> Count:
        if stage.after in failed:
            return self._fail_all(stage, f"not run, since {stage.after} failed")
        missing = {package for program, package in stage.needs.items() if not shutil.which(program)}
        if missing and not self._install(sorted(missing), interruption):
            return self._fail_all(stage, f"not run: install {', '.join(sorted(missing))}")
        with ThreadPoolExecutor(stage.at_once) as threads:
            count = sum(threads.map(lambda step: self._run_step(stage, step, interruption), stage.steps), Count())
        if not count.passed and not count.failed:
            return count + self._fail_all(stage, "ran no test")
        return count

    def _fail_all(self, stage: stages.Stage, reason: str) -> Count:
        self._say(f"  FAILED  {reason}")
        self.failures.append(f"{stage.name}: {reason}")
        return Count(failed=max(1, len(stage.steps)))

    def _install(self, packages: Sequence[str], interruption: Interruption) -> bool:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            return False
        install = 'apt-get -q update && apt-get -q -y install --no-install-recommends "$@"'
        command = ["sh", "-c", install, "sh", *packages]
        step = stages.Step(f"install {' '.join(packages)}", command, environment={"DEBIAN_FRONTEND": "noninteractive"})
        log = self._results / "apt.log"
        return self._execute(step, log, interruption, live=True) == 0

    def _run_step(self, stage: stages.Stage, step: stages.Step, interruption: Interruption) -> Count:
        if interruption.requested:  # while another step ran, and this one waited for its turn
            raise Interrupted(f'stopped before "{step.name}"')
        log = self._results / f"{stage.name}-{step.name}.log"
        if step.results:
            step.results.unlink(missing_ok=True)
        began = time.monotonic()
        code = self._execute(step, log, interruption, live=stage.at_once == 1)
        tests = read_results(step.results)
        reason = _what_failed(code, step, tests.count)
        count = _count(step, tests.count, failed=reason is not None)
        verdict = "FAILED" if count.failed else "ok"
        with self._telling:
            self._say(f"  {verdict:6}  {step.name}  {clock(time.monotonic() - began)}")
            if count.failed:
                self._show_failure(f"{stage.name}/{step.name}", reason or "tests failed", log, tests.failed)
        return count

    def _show_failure(self, name: str, reason: str, log: Path, tests: Sequence[FailedTest]) -> None:
        where = log.relative_to(self._project.root)
        for failed in tests[:SHOWN_TESTS]:
            self._say(f"          {failed.name}")
            self._show_end(failed.report)
        output = "" if tests else log.read_text(encoding="utf-8", errors="replace")
        self._show_end(output)
        self._say(f"          {reason}; whole output: {where}")
        self.failures.append(f"{name}: {reason} ({where})")
        self.failures += [f"  {failed.name}: {failed.reason}" for failed in tests]
        self.failures += [f"  {line}" for line in _last_reason(output)]

    def _show_end(self, text: str) -> None:
        for line in text.splitlines()[-TAIL_LINES:]:
            self._say(f"          {line}")

    def _execute(self, step: stages.Step, log: Path, interruption: Interruption, *, live: bool) -> int:
        with log.open("wb") as stream, self._status(step.name, live=live) as status:
            try:
                process = subprocess.Popen(
                    step.command,
                    cwd=self._project.root,
                    env={**self._environment, **step.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                stream.write(f"{step.command[0]}: {error.strerror}\n".encode())
                return 127
            self._wait(process, step, log, status, interruption)
        if interruption.requested:
            interruption.finish()
            raise Interrupted(f'stopped in "{step.name}"; its output so far: {log}')
        return process.returncode

    def _wait(
        self,
        process: subprocess.Popen[bytes],
        step: stages.Step,
        log: Path,
        status: Status | None,
        interruption: Interruption,
    ) -> None:
        began = told = time.monotonic()
        while True:
            try:
                process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            else:
                return
            if interruption.must_kill():
                process.kill()
            if status:
                status.update(f"{step.name}  {clock(now - began)}  {_last_line(log)}")
            elif now - told >= STILL_RUNNING_SECONDS:
                told = now
                self._say(f"  still running  {step.name}  {clock(now - began)}  {_last_line(log)}")

    def _status(self, name: str, *, live: bool) -> AbstractContextManager[Status | None]:
        return self._console.status(name) if live and self._console.is_terminal else nullcontext()

    def _say(self, text: str) -> None:
        # Console.out neither wraps nor takes brackets for markup.
        self._console.out(text, highlight=False)


def _last_reason(output: str) -> list[str]:
    """The lines with which Ansible's output last names a failure: those before were expected, or it went on.

    Of a program that names none, its last lines: a traceback ends with what was raised.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    found = [place for place, line in enumerate(lines) if _REASON.match(line)]
    return lines[found[-1] : found[-1] + _REASON_LINES] if found else lines[-_REASON_LINES:]


def _what_failed(code: int, step: stages.Step, tests: Count) -> str | None:
    if code:
        return f"exit code {code}"
    if step.results and not tests.passed and not tests.failed:
        return f"ran no test: none is counted in {step.results.name}"
    return None


def _count(step: stages.Step, tests: Count, *, failed: bool) -> Count:
    if step.is_test:
        return tests + (Count(failed=1) if failed else Count(passed=1))
    # A run that broke down before or after its tests must not pass for want of a failed one.
    return tests + Count(failed=1) if failed and not tests.failed else tests


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        _seek_back(stream, 4096)
        lines = stream.read().decode(errors="replace").split("\n")
    return next((line.strip()[:100] for line in reversed(lines) if line.strip()), "")


def _seek_back(stream: IO[bytes], count: int) -> None:
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - count))
