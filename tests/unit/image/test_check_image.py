"""What an image must have to run as a berth, and what is said of one that has not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.scripts import load

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "notebook_image" / "files" / "check_image.py"
check_image = load(SCRIPT)

GOOD = {"uid": "1000", "home": "/home/jovyan", "server": "/opt/bin/jupyterhub-singleuser", "version": "6.1.1"}


def test_one_that_has_all_lacks_nothing() -> None:
    assert check_image.lacks(GOOD, 1000) == []
    assert check_image.lacks({**GOOD, "version": "5.0.0b1"}, 1000) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"server": ""}, "no jupyterhub-singleuser on its PATH; add to its Dockerfile: RUN pip install"),
        ({"version": "4.1.6"}, "its JupyterHub is 4.1.6, and 5.0 or newer is needed"),
        ({"version": "what?"}, "its JupyterHub is what?"),
        ({"version": ""}, "of an unknown version"),
        ({"uid": "0"}, "it runs as uid 0, and homes belong to 1000 (user_homes_uid)"),
        ({"home": "/root"}, "ENV HOME=/home/jovyan"),
    ],
)
def test_what_lacks_is_told_with_what_to_add(change: dict[str, str], said: str) -> None:
    (told,) = check_image.lacks({**GOOD, **change}, 1000)
    assert said in told


def test_one_that_passed_is_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def docker(*arguments: str) -> Any:
        if arguments[0] == "run":
            started.append(arguments)
            answers = "".join(f"{key}={value}\n" for key, value in GOOD.items())
            return subprocess.CompletedProcess(arguments, 0, answers, "")
        return subprocess.CompletedProcess(arguments, 0, "sha256:1\n", "")

    monkeypatch.setattr(check_image, "docker", docker)
    monkeypatch.setattr(check_image, "CHECKED", tmp_path / "checked")
    assert check_image.check("site/one", 1000) == []
    assert check_image.check("site/one", 1000) == []
    assert len(started) == 1
    (told,) = check_image.check("site/one", 2000)
    assert told.startswith("site/one: it runs as uid 1000")
    assert len(started) == 2
