"""The single-user server without the hub's database code, and the ways on which it is left as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jupyterhub
import pytest

if TYPE_CHECKING:
    from tests.unit.publish.conftest import Host

FILES = Path(__file__).resolve().parents[3] / "roles" / "shared_notebooks" / "files"
VENV = Path(sys.executable).parent
PLAIN = f"#!{sys.executable}\nimport sys\nprint('plain', sys.argv[1:])\n"


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(FILES)!r})\nimport quick_server\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return done.stdout.strip()


def start(host: Host, script: Path, *arguments: str, **environment: str) -> tuple[str, str]:
    """What a berth's start prints whose image has that for jupyterhub-singleuser: on standard output, and on error."""
    done = subprocess.run(
        [str(host.shared / "start"), script.name, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env={**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}", "HOME": str(host.shared), **environment},
    )
    return done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A script that tells when it is run."""
    script = tmp_path / "bin" / "jupyterhub-singleuser"
    script.parent.mkdir()
    script.write_text(PLAIN)
    script.chmod(0o755)
    return script


def test_nothing_of_the_database_code_is_imported() -> None:
    show = "print([name for name in sys.modules if name.startswith(('sqlalchemy', 'alembic', 'jupyterhub.handlers'))])"
    assert python(f"quick_server.load()\n{show}") == "[]"


def test_it_is_jupyterhubs_own_extension() -> None:
    assert (
        python("print(quick_server.load().__self__)")
        == "<class 'jupyterhub.singleuser.extension.JupyterHubSingleUser'>"
    )


@pytest.mark.parametrize(
    "code",
    [
        "from jupyterhub import orm; assert orm.User.__tablename__ == 'users'",
        "from jupyterhub.orm import Base; from sqlalchemy import Column; from jupyterhub.utils import SQLAlchemyError",
        "from jupyterhub.roles import get_default_roles; assert get_default_roles()",
        "from jupyterhub.singleuser import make_singleuser_app, HubAuthenticatedHandler, main",
        "from jupyterhub.handlers import BaseHandler",
    ],
)
def test_who_wants_the_rest_gets_it(code: str) -> None:
    """A user's own configuration, or an extension."""
    assert python(f"quick_server.load()\n{code}\nprint('well')") == "well"


def test_a_berth_starts_so(host: Host) -> None:
    assert start(host, VENV / "jupyterhub-singleuser", "--version") == (jupyterhub.__version__, "")


@pytest.mark.parametrize("name", ["BERTH_PLAIN_SERVER", "JUPYTERHUB_SINGLEUSER_APP", "JUPYTERHUB_SINGLEUSER_EXTENSION"])
def test_a_site_that_wants_another_gets_it(host: Host, plain: Path, name: str) -> None:
    assert start(host, plain, "--a", "b c", **{name: "1"}) == ("plain ['--a', 'b c']", "")


def test_another_jupyterhub_starts_as_it_is(host: Host, plain: Path, tmp_path: Path) -> None:
    other = tmp_path / "lib" / "jupyterhub"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    said, told = start(host, plain, "--a", PYTHONPATH=str(other.parent))
    assert said == "plain ['--a']"
    assert told == "berth: starts JupyterHub's server as it is, since ImportError: there is no jupyterhub.orm"


def test_a_script_that_is_no_python_starts_as_it_is(host: Host, plain: Path) -> None:
    plain.write_text('#!/bin/sh\necho plain "$@"\n')
    assert start(host, plain, "--a") == ("plain --a", "")
