"""What ``berth test`` runs: stages, each made of steps, each of which is one program."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from berth_cli.project import Project

UNIT_TEST_SECONDS = 120
"""Above what any unit test takes on a slow machine: one that takes longer hangs."""

BROWSER_TEST_SECONDS = 600
"""A browser test may have to wait for a container's first start."""

_SCENARIO_ORDER = (
    "lifecycle",
    "default",
    "debian12",
    "options",
    "security",
    "faults",
    "https",
    "authentication",
    "ssh",
)
"""An order in which two at a time end together; a scenario that is not listed begins first."""

_OWN_HIDDEN = (".ci", ".config")

_SHELL = re.compile(rb"#!.*\b(?:ba|da|k)?sh\b")


@dataclass(frozen=True)
class Step:
    """One program to run.

    Attributes:
        name: What it is called on the screen and in file names.
        command: Program and arguments.
        results: JUnit XML file in which it counts its tests; None: it has no tests.
        is_test: Whether it counts as a test by itself, beside those in ``results``.
        environment: What it finds in its environment beside what all steps do.
    """

    name: str
    command: Sequence[str]
    results: Path | None = None
    is_test: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """Steps of a kind.

    Attributes:
        name: What it is called.
        steps: Its programs, in order.
        needs: Programs that must be on the machine, and the Debian package that has each.
        after: Name of the stage without whose success this one makes no sense.
        at_once: How many of its programs may run at the same time.
    """

    name: str
    steps: Sequence[Step]
    needs: Mapping[str, str] = field(default_factory=dict)
    after: str | None = None
    at_once: int = 1


def results_dir(project: Project) -> Path:
    """Where the steps' logs and results go."""
    return project.root / "test-results"


def scenarios(project: Project) -> list[str]:
    """The names of molecule's scenarios, in the order in which they run."""
    names = (path.parent.name for path in (project.root / "molecule").glob("*/molecule.yml"))
    place = {name: place for place, name in enumerate(_SCENARIO_ORDER, start=1)}
    return sorted(names, key=lambda name: (place.get(name, 0), name))


def plan(project: Project, names: Sequence[str], only_scenarios: Sequence[str] = ()) -> list[Stage]:
    """Lay out stages.

    Args:
        project: The checkout.
        names: Which ones, out of :data:`STAGES`.
        only_scenarios: Which of molecule's scenarios; none named: all of them.
    """
    made = [STAGES[name](project) for name in STAGES if name in names]
    if not only_scenarios:
        return made
    return [
        replace(stage, steps=[step for step in stage.steps if step.name in only_scenarios])
        if stage.name == "molecule"
        else stage
        for stage in made
    ]


def _lint(project: Project) -> Stage:
    scripts = [str(path.relative_to(project.root)) for path in shell_scripts(project.root)]
    return Stage(
        "lint",
        [
            Step("ansible-lint", ["ansible-lint"]),
            Step("yamllint", ["yamllint", "--strict", "."]),
            Step("ruff-check", ["ruff", "check"]),
            Step("ruff-format", ["ruff", "format", "--check"]),
            Step("mypy", ["mypy"]),
            Step("shellcheck", ["shellcheck", *scripts]),
        ],
        needs={"git": "git"},
        at_once=2,
    )


def _unit(project: Project) -> Stage:
    # A file's tests share what takes long to start, like a hub.
    on_all_cores = ["--numprocesses=auto", "--dist=loadfile"]
    needs = {"git": "git", "restic": "restic"}
    return Stage("unit", _pytest(project, "unit", UNIT_TEST_SECONDS, *on_all_cores), needs=needs)


def _kernel(project: Project) -> Stage:
    tests = project.root / "tests" / "kernel"
    # By its path, since not everybody has that folder among those of programs.
    needs = {"linux.uml": "user-mode-linux", "/usr/sbin/mkfs.xfs": "xfsprogs"}
    steps = []
    # Such a kernel keeps one processor busy: two of them share the tests.
    for name, chosen in (("ext4", "not xfs"), ("xfs", "xfs")):
        results = results_dir(project) / f"kernel-{name}.xml"
        command = [sys.executable, str(tests / "boot.py"), str(results), str(tests), "-k", chosen]
        steps.append(Step(name, command, results, is_test=False))
    return Stage("kernel", steps, needs=needs, at_once=2)


def _syntax(project: Project) -> Stage:
    return Stage(
        "syntax",
        [
            Step(path.stem, ["ansible-playbook", "--syntax-check", "-i", str(project.demo_inventory), str(path)])
            for path in sorted(project.playbook_dir.glob("*.yml"))
        ],
        at_once=2,
    )


def _molecule(project: Project) -> Stage:
    return Stage(
        "molecule",
        [
            Step(
                name,
                ["molecule", "test", "-s", name],
                results_dir(project) / f"{name}.xml",
                # Each loads the scenario called default, too, and writes what it keeps of it: into a folder of its own.
                environment={"ANSIBLE_HOME": str(project.root / ".ansible" / name)},
            )
            for name in scenarios(project)
        ],
        needs={"chromium": "chromium", "git": "git", "ssh": "openssh-client"},
        after="syntax",
        # A scenario waits as much as it works: for services to start, for a reboot, for certificates to be renewed.
        at_once=2,
    )


def _browser(project: Project) -> Stage:
    # Not beside the scenarios: to Chromium each container that comes or goes is another network, and it hangs up.
    return Stage(
        "browser",
        _pytest(project, "browser", BROWSER_TEST_SECONDS),
        needs={"chromium": "chromium", "git": "git"},
        after="syntax",
    )


STAGES: Mapping[str, Callable[[Project], Stage]] = {
    "lint": _lint,
    "unit": _unit,
    # A kernel of Debian's as a process, which there is for these machines alone.
    **({"kernel": _kernel} if platform.machine() == "x86_64" else {}),
    "syntax": _syntax,
    "molecule": _molecule,
    "browser": _browser,
}
"""All stages, in the order in which they run: what fails fastest comes first."""

QUICK_STAGES = ("lint", "unit", "syntax")
"""Those that need no container."""


def _pytest(project: Project, name: str, timeout: int, *options: str) -> list[Step]:
    results = results_dir(project) / f"{name}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", str(timeout), "--junitxml", str(results), *options]
    return [Step(name, [*command, f"tests/{name}"], results, is_test=False)]


def shell_scripts(root: Path) -> list[Path]:
    """All shell scripts of a checkout, known by suffix or by first line, outside of what tools have put there.

    Args:
        root: The checkout.
    """
    found = []
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = [name for name in subdirectories if name in _OWN_HIDDEN or name[0] not in "._"]
        found += [path for path in (Path(directory, name) for name in files) if path.is_file() and _is_shell(path)]
    return sorted(found)


def _is_shell(path: Path) -> bool:
    if path.suffix == ".j2":
        return False
    with path.open("rb") as stream:
        return path.suffix == ".sh" or _SHELL.match(stream.readline(200)) is not None
