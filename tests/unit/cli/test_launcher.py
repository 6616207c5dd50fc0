"""The launcher ``./berth``: makes the virtual environment once, and only then."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

# Stands for every Python: notes how it is called, and makes the same of itself where a virtual environment is wanted.
PYTHON = """#!/bin/sh
echo "$0 $*" >>"$CALLS"
case "$*" in
  "-m venv --clear "*)
    sleep 0.3
    mkdir -p "$4/bin"
    cp "$0" "$4/bin/python"
    : >"$4/pyvenv.cfg"
    cp "$UV" "$4/bin/uv"
    ;;
  *"pip config get"*) exit 1 ;;
  *"-m berth_cli"*)
    echo "keeps ${PYTHONDONTWRITEBYTECODE-all} in $PYTHONPYCACHEPREFIX" >>"$CALLS"
    shift 3
    printf 'started in %s with' "$PWD"; printf ' <%s>' "$@"; echo
    ;;
esac
"""

UV = """#!/bin/sh
echo "uv $* UV_DEFAULT_INDEX=$UV_DEFAULT_INDEX SSL_CERT_FILE=$SSL_CERT_FILE" >>"$CALLS"
exit "${UV_CODE:-0}"
"""


class Launcher:
    """A checkout with nothing but the launcher, and a Python that only pretends."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "checkout"
        (self.root / "requirements").mkdir(parents=True)
        shutil.copy(CHECKOUT / "berth", self.root)
        for name in ("bootstrap", "controller", "dev", "plot"):
            (self.root / "requirements" / f"{name}.txt").write_text(f"{name}==1\n", encoding="utf-8")
        for name, text in {"python": PYTHON, "uv": UV}.items():
            (base / name).write_text(text, encoding="utf-8")
            (base / name).chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"],
            "BERTH_PYTHON": str(base / "python"),
            "CALLS": str(base / "calls"),
            "UV": str(base / "uv"),
        }

    def start(self, *arguments: str, program: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program or self.root / "berth", *arguments],
            env=self.environment,
            cwd=self.base,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, program: Path | None = None) -> tuple[int, str, str]:
        process = self.start(*arguments, program=program)
        output, errors = process.communicate(timeout=30)
        return process.returncode, output, errors

    def calls(self, text: str) -> list[str]:
        return [line for line in (self.base / "calls").read_text(encoding="utf-8").splitlines() if text in line]


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


def test_what_python_compiles_is_kept_outside_of_the_checkout(launcher: Launcher) -> None:
    launcher.environment["PYTHONDONTWRITEBYTECODE"] = "1"
    launcher.run()
    assert launcher.calls("keeps") == [f"keeps all in {launcher.root}/.venv/pycache"]
    launcher.environment["PYTHONPYCACHEPREFIX"] = "/elsewhere"
    launcher.run()
    assert launcher.calls("keeps")[1:] == ["keeps all in /elsewhere"]


def test_the_first_start_makes_the_environment_and_the_second_uses_it(launcher: Launcher) -> None:
    code, output, errors = launcher.run("up", "a b")
    assert code == 0
    assert output == f"started in {launcher.base} with <up> <a b>\n"
    assert errors.splitlines() == [
        f"berth: making {launcher.root}/.venv from requirements/controller.txt (about a minute)"
    ]
    assert launcher.run("up")[2] == ""
    assert len(launcher.calls("-m venv")) == 1
    assert "--require-hashes" in launcher.calls("pip --quiet")[0]
    assert "--require-hashes" in launcher.calls("uv pip sync")[0]


def test_it_is_made_anew_when_the_lock_or_the_place_changes(launcher: Launcher) -> None:
    launcher.run()
    (launcher.root / "requirements" / "controller.txt").write_text("controller==2\n", encoding="utf-8")
    launcher.run()
    assert len(launcher.calls("-m venv")) == 2
    launcher.root = launcher.root.rename(launcher.base / "moved")
    launcher.run()
    assert len(launcher.calls("-m venv")) == 3
    launcher.run()
    assert len(launcher.calls("-m venv")) == 3


def test_tests_have_an_environment_of_their_own(launcher: Launcher) -> None:
    launcher.run("test")
    assert launcher.calls("uv pip sync")[0].split(" UV_")[0].endswith("requirements/dev.txt")
    assert (launcher.root / ".venv-dev").is_dir()
    assert not (launcher.root / ".venv").exists()


def test_through_a_symbolic_link(launcher: Launcher) -> None:
    (launcher.base / "bin").mkdir()
    link = launcher.base / "bin" / "berth"
    link.symlink_to("../checkout/berth")
    again = launcher.base / "again"
    again.symlink_to(link)
    code, output, _ = launcher.run("status", program=again)
    assert code == 0
    assert output.endswith("with <status>\n")


def test_two_first_starts_make_one_environment(launcher: Launcher) -> None:
    processes = [launcher.start("version") for _ in range(4)]
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert len(launcher.calls("-m venv")) == 1


def test_mirror_and_certificates_are_passed_on(launcher: Launcher) -> None:
    launcher.environment |= {"PIP_INDEX_URL": "https://mirror.example/simple", "PIP_CERT": "/etc/site-ca.pem"}
    launcher.run()
    call = launcher.calls("uv pip sync")[0]
    assert call.endswith("UV_DEFAULT_INDEX=https://mirror.example/simple SSL_CERT_FILE=/etc/site-ca.pem")


def test_a_failed_installation_is_said_and_tried_again(launcher: Launcher) -> None:
    launcher.environment["UV_CODE"] = "1"
    code, output, errors = launcher.run("up")
    assert code == 2
    assert output == ""
    assert "PIP_INDEX_URL" in errors
    del launcher.environment["UV_CODE"]
    assert launcher.run("up")[0] == 0


def test_a_directory_that_is_something_else_is_left_alone(launcher: Launcher) -> None:
    place = launcher.base / "precious"
    place.mkdir()
    (place / "file").touch()
    launcher.environment["BERTH_VENV"] = str(place)
    code, _, errors = launcher.run("up")
    assert code == 2
    assert str(place) in errors
    assert (place / "file").exists()


def test_without_a_suitable_python_it_says_what_it_found(launcher: Launcher) -> None:
    launcher.environment["BERTH_PYTHON"] = "/bin/false"
    code, _, errors = launcher.run("up")
    assert code == 2
    assert "Python 3.11 or newer is needed" in errors
    assert "/bin/false" in errors


def test_plots_have_an_environment_of_their_own(launcher: Launcher) -> None:
    assert launcher.run("bench", "spawn", "--plot", "x.png")[0] == 0
    assert launcher.run("bench", "spawn", "--plot=x.png")[0] == 0
    assert len(launcher.calls(f"-m venv --clear {launcher.root}/.venv-plot")) == 1
    assert launcher.calls("uv pip sync")[0].split(" UV_DEFAULT_INDEX")[0].endswith("requirements/plot.txt")
    launcher.run("bench", "spawn")
    launcher.run("notebooks", "--plot")
    assert len(launcher.calls("requirements/controller.txt")) == 1
    assert len(launcher.calls(f"{launcher.root}/.venv-plot/bin/python -P -m berth_cli")) == 2
