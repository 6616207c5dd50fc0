"""The command ``berth``: its sub-commands and what they have in common."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import click

from berth_cli import __version__
from berth_cli.backup import backup
from berth_cli.bench import bench
from berth_cli.errors import BerthError, ExitCode
from berth_cli.host import down, up
from berth_cli.logs import logs
from berth_cli.moving import adopt, export, import_user
from berth_cli.notebooks import notebooks
from berth_cli.project import Project
from berth_cli.real_hosts import check, remove
from berth_cli.restore import restore
from berth_cli.status import status
from berth_cli.testing import test
from berth_cli.upgrade import rollback, upgrade
from berth_cli.users import users

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.pass_context
def cli(context: click.Context) -> None:
    """Multi-user Jupyter notebooks on your own hosts.

    Each command runs playbooks from the directory playbooks/, as ansible-playbook would, and shows how they get on.

    \b
    Examples:
      berth up                        provision a demo host on this machine
      berth up -i inventory/site      provision your own hosts
      berth users add anna            let anna log in
      berth COMMAND --help            more about a command

    \b
    Exit codes:
      0    all is well
      1    a test failed (berth test)
      2    wrong use: something is missing or misspelt
      3    hub, proxy or container engine is not active, or a backup failed or is overdue (berth status)
      130  interrupted
    Any other code, and 1 and 2 after a run has begun, are those of ansible-playbook.
    """
    context.obj = context.obj or Project()


@cli.command()
def version() -> None:
    """Print the versions of Berth, ansible-core and Python.

    \b
    Example:
      berth version
    """
    click.echo(f"berth {__version__}")
    click.echo(f"ansible-core {metadata.version('ansible-core')}")
    click.echo(f"python {platform.python_version()}")


for command in (
    up,
    upgrade,
    rollback,
    check,
    down,
    remove,
    status,
    users,
    notebooks,
    backup,
    restore,
    export,
    import_user,
    adopt,
    logs,
    bench,
    test,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None, project: Project | None = None) -> int:
    """Run a command.

    Args:
        arguments: As typed after ``berth``; None: this process's own.
        project: The checkout to work in; None: the one that this file is in.

    Returns:
        The exit code.
    """
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments), prog_name="berth", obj=project, standalone_mode=False
        )
    except BerthError as error:
        error.show()
        return error.code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output (head, less) has seen enough; without this, Python complains while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nberth: interrupted", err=True)
        return ExitCode.INTERRUPTED
    # Without standalone_mode, click returns what was given to Context.exit.
    return result if isinstance(result, int) else ExitCode.OK
