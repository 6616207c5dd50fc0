"""The problem that a hub solves: on a plain server, two windows on one page share its kernel and its file."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import NOTEBOOKS

START_SECONDS: Final = 120
"""Patience for Jupyter's own start; importing it takes a few seconds, on a busy machine many."""


SAVE_SECONDS: Final = 60
"""Patience for what is saved to be in the file."""


@dataclass(frozen=True)
class PlainServer:
    """A Jupyter server as somebody would start it by hand."""

    url: str
    token: str
    folder: Path

    def lab(self, path: str) -> str:
        """Return the address of a notebook in JupyterLab, with the token that lets anybody in."""
        return f"{self.url}lab/tree/{path}?token={self.token}"


@pytest.fixture
def plain_server(tmp_path: Path) -> Iterator[PlainServer]:
    """One server on a copy of the shared notebooks; it is stopped, with its kernels, when the test is over."""
    folder = tmp_path / "folder"
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    places = {"HOME": tmp_path / "home", "JUPYTER_RUNTIME_DIR": tmp_path / "runtime"}
    for place in places.values():
        place.mkdir()
    options = {"ServerApp.ip": "127.0.0.1", "ServerApp.port": "0", "ServerApp.root_dir": str(folder)}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        told = _wait_for_file(places["JUPYTER_RUNTIME_DIR"] / f"jpserver-{server.pid}.json", server, log)
        yield PlainServer(told["url"], told["token"], folder)
    finally:
        server.terminate()
        server.wait()


def _wait_for_file(path: Path, server: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """Return what the server tells about itself once it listens; fail with its log when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            told: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            time.sleep(0.05)
        else:
            return told
    pytest.fail(f"jupyter lab did not come up within {START_SECONDS} s; its log:\n{log.read_text(encoding='utf-8')}")


def test_two_windows_share_one_kernel(plain_server: PlainServer, new_window: NewWindow, picture: Picture) -> None:
    """What Ann keeps in a variable, Ben reads in his window, and can change."""
    ann, ben = new_window("ann"), new_window("ben")
    for window in (ann, ben):
        lab.open_notebook(window, plain_server.lab("notebooks/hello.ipynb"))

    lab.run(ann, 'word = "a word of Ann\'s"')
    expect(lab.run(ben, "print(word)")).to_have_text("a word of Ann's")
    lab.run(ben, 'word = "changed by Ben"')
    expect(lab.run(ann, "print(word)")).to_have_text("changed by Ben")

    picture(ann, "plain-server-ann")
    picture(ben, "plain-server-ben")


def test_two_windows_share_one_file(plain_server: PlainServer, new_window: NewWindow, picture: Picture) -> None:
    """Both change the page; the second to save has to give up either the other's work or their own."""
    ann, ben = new_window("ann"), new_window("ben")
    for window in (ann, ben):
        lab.open_notebook(window, plain_server.lab("notebooks/hello.ipynb"))
    for window, text in ((ann, "'Ann was here'"), (ben, "'Ben was here'")):
        lab.write(lab.code_cells(window).first, text)

    lab.save(ann)
    lab.press_save(ben)
    question = ben.locator(".jp-Dialog")
    expect(question).to_contain_text("has changed on disk")
    picture(ben, "plain-server-conflict")
    question.get_by_role("button", name="Overwrite").click()
    expect(question).to_be_hidden()
    lab.save(ben)

    sources = _saved_cells(plain_server.folder / "notebooks" / "hello.ipynb", "'Ben was here'")
    assert "'Ann was here'" not in sources


def _saved_cells(notebook: Path, expected: str) -> list[str]:
    """Return the cells of a file once the expected one is in it: the server empties a file before it writes it."""
    deadline = time.monotonic() + SAVE_SECONDS
    while True:
        try:
            saved = json.loads(notebook.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            saved = {"cells": []}
        sources = ["".join(cell["source"]) for cell in saved["cells"]]
        if expected in sources:
            return sources
        assert time.monotonic() < deadline, f"{expected} is not in {notebook} after {SAVE_SECONDS} s: {sources}"
        time.sleep(0.1)


def test_why_a_hub_tells_where_it_runs(plain_server: PlainServer, new_window: NewWindow, picture: Picture) -> None:
    """The notebook that explains all this runs through without errors, and knows that nobody logged in."""
    window = new_window("ann")
    lab.open_notebook(window, plain_server.lab("notebooks/why-a-hub.ipynb"))
    lab.run_all(window)
    expect(lab.failures(window)).to_have_count(0)
    expect(lab.output_of(lab.code_cells(window).first)).to_contain_text("are shared with everyone")
    picture(window, "plain-server-why-a-hub")
