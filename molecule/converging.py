"""A host converged once more with other variables: an operator who edits the inventory and runs the playbook again."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
TAIL_LINES = 60
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[.*", re.MULTILINE)
SECONDS_MAX = 1200
"""A converge of two roles takes 20 to 40 s; a machine with more to do may take several times that."""


def converge(
    host_env: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    *,
    check: bool = False,
    playbook: str = "site",
    project: Path = PROJECT,
) -> subprocess.CompletedProcess[str]:
    """Run a playbook on the platform that the environment names.

    Args:
        host_env: environment beyond that of this process, which in molecule names the platform already.
        variables: what the inventory would say; secrets in it appear in no process list.
        tags: roles to run, like `["proxy", "jupyterhub"]`; all without it.
        check: a dry run with differences (`--check --diff`) instead.
        playbook: its name below playbooks/.
        project: another checkout than this one.

    Raises:
        AssertionError: with the end of the output, if it fails.
    """
    done = _run(host_env, variables, tags, check=check, playbook=playbook, project=project)
    assert done.returncode == 0, f"{playbook} with {sorted(variables or {})} failed:\n{_tail(done)}"
    return done


def report(variables: Mapping[str, Any] | None = None, *, playbook: str) -> Any:
    """Run a playbook for the sake of what it reports; returns that.

    Raises:
        AssertionError: with the end of the output, if it fails or reports nothing.
    """
    done = converge(variables=variables, playbook=playbook)
    told = re.findall(r"(?m)^ok: \[[^]]*\] => *\n((?: +.*\n)+)", done.stdout)
    assert told, f"{playbook} reported nothing:\n{_tail(done)}"
    return yaml.safe_load(told[-1])["msg"]


def refusal(
    host_env: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    *,
    playbook: str = "site",
    project: Path = PROJECT,
) -> str:
    """Run a playbook that must refuse, before it changes anything; returns its messages in one line.

    Raises:
        AssertionError: if it does not fail, or has changed something.
    """
    done = _run(host_env, variables, tags, check=False, playbook=playbook, project=project)
    assert done.returncode != 0, f"{playbook} was not refused:\n{_tail(done)}"
    assert changes(done) == 0, f"{playbook} changed something before it refused:\n{_tail(done)}"
    return _complaints(done)


def failure(
    variables: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    *,
    playbook: str = "site",
    project: Path = PROJECT,
) -> str:
    """Run a playbook that must fail on its way; returns its messages in one line.

    Raises:
        AssertionError: if it does not fail.
    """
    done = _run(None, variables, tags, check=False, playbook=playbook, project=project)
    assert done.returncode != 0, f"{playbook} did not fail:\n{_tail(done)}"
    return _complaints(done)


def _complaints(done: subprocess.CompletedProcess[str]) -> str:
    message = re.search(r"(?s)(\[ERROR\]|fatal:|ERROR!).*?(?=PLAY RECAP|\Z)", done.stdout + done.stderr)
    return " ".join((message[0] if message else done.stdout + done.stderr).split())


def changes(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks changed something, on all hosts."""
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", done.stdout))


def assert_converges_to_nothing(
    host_env: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    *,
    check: bool = False,
) -> None:
    """Once more changes nothing (`check`: and a dry run would not).

    Raises:
        AssertionError: with the end of the output, if something changed.
    """
    done = converge(host_env, variables, tags, check=check)
    assert "PLAY RECAP" in done.stdout, f"nothing was converged:\n{_tail(done)}"
    assert changes(done) == 0, f"changed something again:\n{_changed(done)}"


@contextmanager
def begun(
    variables: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    *,
    playbook: str = "site",
    project: Path = PROJECT,
    output: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[str]]:
    """A run of a playbook that breaks off at the end of the block, as with a machine that is switched off.

    `output` is where to it says what it does; of a pipe, somebody has to read.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="variables-") as file:
        command = _command(file, variables, tags, check=False, playbook=playbook)
        with subprocess.Popen(
            command, cwd=project, env=_environment(None, project), stdout=output, text=True, start_new_session=True
        ) as process:
            try:
                yield process
            finally:
                os.killpg(process.pid, signal.SIGKILL)


def break_off(variables: Mapping[str, Any], tags: Sequence[str], *, task: int, after: float) -> str:
    """Converge, and kill all of it so many seconds after its n-th task has begun; returns which task that was.

    Raises:
        AssertionError: if it has not so many, or ended before it could be killed.
    """
    with begun(variables, tags, output=subprocess.PIPE) as running:
        lines = (line.strip() for line in running.stdout or () if _TASK.match(line))
        title = next(islice(lines, task - 1, None), None)
        assert title is not None, f"the converge ended before its task {task}"
        time.sleep(after)
        assert running.poll() is None, f"the converge ended within {after} s of its task {task}, {title}"
    return title


def tasks(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks and handlers a run has begun."""
    return len(_TASK.findall(done.stdout))


def _run(
    host_env: Mapping[str, str] | None,
    variables: Mapping[str, Any] | None,
    tags: Sequence[str] | None,
    *,
    check: bool,
    playbook: str,
    project: Path = PROJECT,
) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="variables-") as file:
        return subprocess.run(
            _command(file, variables, tags, check=check, playbook=playbook),
            cwd=project,
            env=_environment(host_env, project),
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )


def _environment(host_env: Mapping[str, str] | None, project: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "default",  # the one whose recap is read
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "false",
        **(host_env or {}),
    }


def _command(
    file: IO[str], variables: Mapping[str, Any] | None, tags: Sequence[str] | None, *, check: bool, playbook: str
) -> list[str]:
    json.dump(dict(variables or {}), file)
    file.flush()
    return [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "--inventory=inventory/demo",
        f"--extra-vars=@{file.name}",
        *([f"--tags={','.join(tags)}"] if tags else []),
        *(["--check", "--diff"] if check else []),
        f"playbooks/{playbook}.yml",
    ]


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])


def _changed(done: subprocess.CompletedProcess[str]) -> str:
    """The tasks that changed something, by name."""
    blocks = re.split(r"\n(?=TASK|RUNNING HANDLER|PLAY)", done.stdout)
    return "\n".join(block for block in blocks if "\nchanged: " in block)
