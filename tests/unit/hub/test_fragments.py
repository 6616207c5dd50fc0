"""Fragments of a site's configuration: loaded in order, tried out before use, named when they fail; and its logo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import berth_hub
import berth_names
import pytest
from berth_hub.fragments import install, load_fragments
from berth_hub.logo import BYTES_MAX, check
from traitlets.config import Config

from tests.unit.hub.conftest import changed
from tests.unit.hub.test_config import SECRETS

PATHS = [str(Path(berth_hub.__file__).parents[1]), str(Path(berth_names.__file__).parent)]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Valid ones, whose secrets are there; and nobody else to run as than who runs the tests."""
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(value + "\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(PATHS))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return changed(secrets_directory=str(tmp_path), state_directory=str(tmp_path))


def test_they_are_loaded_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "20-b.py").write_text("c.JupyterHub.ip = c.JupyterHub.ip + 'b'\n")
    (tmp_path / "10-a.py").write_text("get_config().JupyterHub.ip = 'a'\n")
    (tmp_path / "30.py.disabled").write_text("raise SystemExit\n")
    c = Config()
    load_fragments(c, tmp_path)
    assert c.JupyterHub.ip == "ab"


def test_there_need_not_be_any(tmp_path: Path) -> None:
    load_fragments(Config(), tmp_path / "missing")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\nc.JupyterHub.ip = y\n", ", line 2: NameError: name 'y' is not defined"),
        ("x = (\n", ", line 1: SyntaxError: '(' was never closed"),
        ("import missing_module\n", ", line 1: ModuleNotFoundError: No module named 'missing_module'"),
        ("raise SystemExit(3)\n", ": ends the hub: exit(3)"),
        ("def f():\n    return 1 / 0\n\nf()\n", ", line 2: ZeroDivisionError: division by zero"),
    ],
)
def test_one_that_fails_is_named_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "50-broken.py").write_text(text)
    with pytest.raises(RuntimeError) as caught:
        load_fragments(Config(), tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/50-broken.py{reason}")


def test_they_come_change_and_go(tmp_path: Path, settings: dict[str, Any]) -> None:
    place = tmp_path / "jupyterhub_config.d"
    first = {"10.py": "c.JupyterHub.ip = 'x'\n", "20.py": ""}
    assert install(place, first, settings, dry_run=True) == ["10.py", "20.py"]
    assert not place.exists()
    assert install(place, first, settings, dry_run=False) == ["10.py", "20.py"]
    assert {path.name: path.read_text() for path in place.iterdir()} == first
    assert (place / "10.py").stat().st_mode & 0o777 == 0o640
    assert install(place, first, settings, dry_run=False) == []
    assert install(place, {"10.py": ""}, settings, dry_run=False) == ["10.py", "20.py"]
    assert [path.name for path in place.iterdir()] == ["10.py"]
    assert install(place, {}, settings, dry_run=False) == ["10.py"]
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("fragments", "reason"),
    [
        ({"10.py": "", "50.py": "nothing\n"}, "jupyterhub_config_d: 50.py, line 1: NameError: name 'nothing'"),
        ({"50.py": "def\n"}, "jupyterhub_config_d: 50.py, line 1: SyntaxError: "),
        (
            {"50.py": "c.JupyterHub.active_server_limit = 'many'\n"},
            "jupyterhub_config_d: The 'active_server_limit' trait",
        ),
        ({"50.py": "c.JupyterHub.spawner_class = 'no.such.Spawner'\n"}, "jupyterhub_config_d: "),
        ({"../50.py": ""}, '"../50.py" is no name of a fragment'),
        ({".50.py": ""}, '".50.py" is no name of a fragment'),
    ],
)
def test_what_the_hub_cannot_load_replaces_nothing(
    tmp_path: Path, settings: dict[str, Any], fragments: dict[str, str], reason: str
) -> None:
    place = tmp_path / "jupyterhub_config.d"
    install(place, {"10.py": "# as it was\n"}, settings, dry_run=False)
    with pytest.raises(ValueError, match=r".") as caught:
        install(place, fragments, settings, dry_run=False)
    assert str(caught.value).startswith(reason)
    assert {path.name: path.read_text() for path in place.iterdir()} == {"10.py": "# as it was\n"}


def test_bad_settings_are_told_before_anything_is_replaced(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings["berth"]["memory"] = "12X"
    with pytest.raises(ValueError, match=r'hub.json: berth.memory: "12X" is no amount of memory'):
        install(tmp_path / "jupyterhub_config.d", {"10.py": ""}, settings, dry_run=False)
    assert not (tmp_path / "jupyterhub_config.d").exists()


def run(directory: Path, given: dict[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": os.pathsep.join(PATHS), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "berth_hub.fragments", str(directory / "jupyterhub_config.d"), *more]
    return subprocess.run(
        command, env=environment, input=json.dumps(given), capture_output=True, text=True, check=False
    )


def test_logos_of_another_name_go(tmp_path: Path) -> None:
    for name in ("logo.png", "logo.svg", "hub.json"):
        (tmp_path / name).touch()
    given = {"settings": {}, "fragments": {}, "logo": "logo.svg"}
    assert run(tmp_path, given, "--dry-run").stdout == "logo.png\n"
    assert (tmp_path / "logo.png").exists()
    assert run(tmp_path, given).stdout == "logo.png\n"
    assert {path.name for path in tmp_path.iterdir()} == {"logo.svg", "hub.json"}
    assert run(tmp_path, given).stdout.strip() == ""


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
SVG = b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'


@pytest.mark.parametrize(("content", "suffix"), [(PNG, "png"), (b"\xff\xd8\xff\xe0", "jpg"), (SVG, "svg")])
def test_pictures_may_be_the_logo(content: bytes, suffix: str) -> None:
    check(content, suffix)


@pytest.mark.parametrize(
    ("content", "suffix", "reason"),
    [
        (PNG + bytes(BYTES_MAX), "png", "the picture has 512 KB: use one of at most 512 KB"),
        (PNG, "exe", '".exe" is no picture: use .png, .jpg or .svg'),
        (PNG, "svg", "what is in the file is no SVG picture"),
        (b"<html>", "png", "what is in the file is no PNG picture"),
        (b"<html><svg></svg></html>", "svg", "what is in the file is no SVG picture"),
        (b"", "jpg", "what is in the file is no JPG picture"),
        (b"<svg><script>alert(1)</script></svg>", "svg", "the picture holds '<script': use an SVG without scripts"),
        (b'<svg onload = "alert(1)"/>', "svg", "the picture holds 'onload ='"),
        (b'<svg ><a href="javascript:alert(1)"/></svg>', "svg", "the picture holds 'javascript:'"),
    ],
)
def test_anything_else_may_not(content: bytes, suffix: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check(content, suffix)
    assert str(caught.value).startswith(reason)
