"""The single-user server without the hub's database code, and the ways on which it is left as it is."""

from __future__ import annotations

import json
import os
import re
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


def test_it_was_tried_with_what_is_in_the_image() -> None:
    """After a refresh of the image's pins: try it, here and in test_berths.py of molecule, then say so there."""
    pins = (FILES.parents[1] / "notebook_image" / "files" / "requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", pins, re.MULTILINE))
    written_for = json.loads(python("import json; print(json.dumps(quick_server.WRITTEN_FOR))"))
    assert {name: pinned[name.replace("_", "-")] for name in written_for} == written_for


def test_with_other_versions_only_the_hubs_own_code_is_left_out() -> None:
    code = "quick_server.WRITTEN_FOR['jupyter_server'] = '2.20.0'; quick_server.load(); import jsonschema"
    show = "print(type(jsonschema).__name__, 'sqlalchemy' in sys.modules, 'jsonschema.exceptions' in sys.modules)"
    assert python(f"{code}\n{show}") == "module False True"


UNUSED = ("sqlalchemy", "alembic", "jupyterhub.handlers", "aiohttp.", "dateutil.parser.")


def test_nothing_is_imported_that_is_not_used() -> None:
    """Of packages that are loaded later there is the name, and nothing beneath it."""
    show = f"print([name for name in sys.modules if name.startswith({UNUSED})])"
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
        "from jupyterhub.httpclient import JupyterHubHTTPClient; import aiohttp; assert aiohttp.ClientSession",
        "from jupyter_client.jsonutil import parse_date; assert parse_date('2026-01-02T03:04:05Z').hour == 3",
        "from dateutil.tz import gettz; from dateutil import parser; assert parser.parse('2 Jan 2026').day == 2",
    ],
)
def test_who_wants_the_rest_gets_it(code: str) -> None:
    """A user's own configuration, or an extension."""
    assert python(f"quick_server.load()\n{code}\nprint('well')") == "well"


ASK = """
import asyncio, http.server, threading
quick_server.load()
import jupyterhub.services.auth, later

class Hub(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.do_GET()
    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.send_response(int(self.path[1:]))
        self.send_header("X-JupyterHub-Version", "6")
        self.end_headers()
        self.wfile.write(f"{self.command} {self.headers.get('X-Y')} {sent} ü".encode())
    def log_message(self, *_):
        pass

hub = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=hub.serve_forever, daemon=True).start()
own, ours = later.load("jupyterhub.httpclient").fetch, quick_server.stand_ins.fetch
assert own is not ours and jupyterhub.services.auth.fetch is ours

async def ask(fetch, status, **named):
    try:
        answer = await fetch(f"http://127.0.0.1:{hub.server_port}/{status}", **named)
    except Exception as error:
        return "raised", str(status) in str(error)
    return answer.status, answer.headers["x-jupyterhub-version"], await answer.text()

async def both():
    for status in (200, 403, 503):
        for named in ({}, {"raise_for_status": False}, {"method": "POST", "data": "d", "headers": {"X-Y": "y"}}):
            told = await ask(own, status, **named)
            assert await ask(ours, status, **named) == told, (status, named, told)
    hub.shutdown(), hub.server_close()
    assert await ask(own, 200) == await ask(ours, 200) == ("raised", False)
    print("well")

asyncio.run(both())
"""


def test_the_hub_is_asked_as_by_jupyterhubs_own_client() -> None:
    assert python(ASK) == "well"


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
    assert told.startswith("berth: starts JupyterHub's server as it is, since ModuleNotFoundError: ")


def test_a_script_that_is_no_python_starts_as_it_is(host: Host, plain: Path) -> None:
    plain.write_text('#!/bin/sh\necho plain "$@"\n')
    assert start(host, plain, "--a") == ("plain --a", "")
