"""Options that every command which runs a playbook has, and the runs themselves."""

from __future__ import annotations

import functools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from berth_cli import progress, runner
from berth_cli.errors import BerthError
from berth_cli.state import expected_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from berth_cli.project import Project


@dataclass(frozen=True)
class RunOptions:
    """What the common options said; see their help in :data:`_OPTIONS`."""

    inventory: str | None = None
    verbose: int = 0
    extra_vars: tuple[str, ...] = ()
    limit: str | None = None
    tags: tuple[str, ...] = ()
    check: bool = False
    diff: bool = False
    ask_become_pass: bool = False
    ask_pass: bool = False
    vault_password_file: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """The same as ansible-playbook's options; files are named from the current directory on."""
        arguments = []
        for value in self.extra_vars:
            arguments += ["-e", f"@{Path(value[1:]).absolute()}" if value.startswith("@") else value]
        if self.limit is not None:
            arguments += ["--limit", self.limit]
        for tag in self.tags:
            arguments += ["--tags", tag]
        for file in self.vault_password_file:
            arguments += ["--vault-password-file", str(Path(file).absolute())]
        flags = {
            "--check": self.check,
            "--diff": self.diff,
            "--ask-become-pass": self.ask_become_pass,
            "--ask-pass": self.ask_pass,
        }
        arguments += [flag for flag, wanted in flags.items() if wanted]
        if self.verbose > 1:
            arguments.append(f"-{'v' * (self.verbose - 1)}")
        return arguments

    def again(self) -> str:
        """What leads another command to the same hosts, as it is typed, with a blank before each part."""
        parts = [] if self.inventory is None else ["-i", shlex.quote(self.inventory)]
        for file in self.vault_password_file:
            parts += ["--vault-password-file", shlex.quote(file)]
        parts += [flag for flag, wanted in {"-K": self.ask_become_pass, "-k": self.ask_pass}.items() if wanted]
        return "".join(f" {part}" for part in parts)

    def passwords(self) -> dict[str, str]:
        """Ask for the passwords that are wanted; returns them by the pattern of ansible-playbook's own prompts."""
        answers = {}
        if self.ask_pass:
            answers[r"SSH password:\s*?$"] = click.prompt("SSH password", hide_input=True, err=True)
        if self.ask_become_pass:
            default = answers.get(r"SSH password:\s*?$", "")
            question = "become password" + (" (empty: the SSH password)" if default else "")
            answers[r"BECOME password.*:\s*?$"] = click.prompt(
                question, hide_input=True, err=True, default=default, show_default=False
            )
        return answers


_OPTIONS = (
    click.option(
        "-i", "--inventory", metavar="PATH", help="Inventory to use instead of inventory/demo (the demo host)."
    ),
    click.option(
        "-v",
        "--verbose",
        count=True,
        help="Show Ansible's own output; each further -v is passed on to ansible-playbook.",
    ),
    click.option("-e", "--extra-vars", metavar="VARS", multiple=True, help="Variables as key=value, JSON or @FILE."),
    click.option("-l", "--limit", metavar="HOSTS", help="Only these hosts or groups."),
    click.option("-t", "--tags", metavar="TAGS", multiple=True, help="Only tasks and roles with these tags."),
    click.option("-C", "--check", is_flag=True, help="Change nothing, say what would change."),
    click.option("-D", "--diff", is_flag=True, help="Show what changes in files."),
    click.option("-K", "--ask-become-pass", is_flag=True, help="Ask for the password of sudo on the hosts."),
    click.option("-k", "--ask-pass", is_flag=True, help="Ask for the password of SSH."),
    click.option("--vault-password-file", metavar="FILE", multiple=True, help="File with an Ansible Vault password."),
)


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options; it gets them as its argument ``options``, a :class:`RunOptions`."""

    @functools.wraps(command)
    def wrapper(**arguments: Any) -> None:
        taken = {name: arguments.pop(name) for name in RunOptions.__dataclass_fields__}
        command(**arguments, options=RunOptions(**taken))

    wrapped: Callable[..., None] = wrapper
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def run_playbooks(
    project: Project,
    names: Sequence[str],
    options: RunOptions,
    *,
    variables: Mapping[str, Any] | None = None,
    answer_only: bool = False,
) -> runner.Outcome:
    """Run playbooks with the progress display that suits.

    Args:
        project: The checkout.
        names: Playbooks without their suffix; the last one names the run.
        options: The common options.
        variables: Extra variables, which may be secret.
        answer_only: Whether only the playbook's reports matter: then standard output is left to them.

    Raises:
        BerthError: A playbook or the inventory is missing, or the run ended early (see :func:`berth_cli.runner.run`).
    """
    inventory = project.inventory(options.inventory)
    playbooks = [project.playbook(name) for name in names]
    key = " ".join([*names, inventory, *(f"--tags {tag}" for tag in options.tags), f"--limit {options.limit}"])
    if options.check:
        key += " --check"
    console = Console(stderr=answer_only)
    request = runner.Request(
        command=names[-1],
        playbooks=playbooks,
        inventory=inventory,
        arguments=options.arguments(),
        variables=variables or {},
        passwords=options.passwords(),
        colour=console.color_system is not None and options.verbose > 0,
        memory_key=key,
    )
    display = progress.choose(
        console, expected=expected_tasks(key), verbose=options.verbose > 0, answer_only=answer_only
    )
    return runner.run(project, request, display)


def ask_hosts(
    project: Project, name: str, options: RunOptions, variables: Mapping[str, Any] | None = None
) -> Sequence[runner.Report]:
    """Run a playbook for the sake of what it reports.

    Raises:
        BerthError: As :func:`run_playbooks`; or no host reported anything.
    """
    outcome = run_playbooks(project, [name], options, variables=variables, answer_only=True)
    if not outcome.reports:
        raise BerthError(
            f'no host reported anything: has inventory "{project.inventory(options.inventory)}" hosts in the group'
            f' "hub" (and within --limit)? Whole output: {outcome.log}'
        )
    return outcome.reports


def require_hosts(project: Project, options: RunOptions, outcome: runner.Outcome) -> None:
    """Refuse to call a run without any host a success; with tags it may be one, since the report may not be among them.

    Raises:
        BerthError: No host reported anything.
    """
    if not outcome.reports and not options.tags:
        within = f' within --limit "{options.limit}"' if options.limit else ""
        raise BerthError(
            f'inventory "{project.inventory(options.inventory)}" has no host in the group "hub"{within}: add one'
            f" (inventory/example shows how). Whole output: {outcome.log}"
        )
