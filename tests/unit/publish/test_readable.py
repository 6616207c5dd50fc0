"""A host without git asks real servers for repositories."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from readable import complaint, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "shared_notebooks" / "files" / "readable.py"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    folder = root / "course.git"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-C", str(folder)]
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "update-server-info"], check=True)
    return folder


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(repository.parent))) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_a_repository_of_a_web_server(server: str) -> None:
    url = f"{server}/course.git/.git"
    assert complaint(url, "HEAD", "") == ""
    assert complaint(url, "main", "") == ""
    assert "no branch or tag 'nowhere' (branches: main)" in complaint(url, "nowhere", "")
    assert "answers 404" in complaint(f"{server}/other.git", "HEAD", "")


def test_a_page_is_no_repository(server: str, repository: Path) -> None:
    page = repository.parent / "page" / "info"
    page.mkdir(parents=True)
    page.joinpath("refs").write_text("<html>Welcome</html>")
    assert complaint(f"{server}/page", "HEAD", "") == "what answers there is no git repository"


def test_nobody_answers() -> None:
    assert "refused" in complaint("http://127.0.0.1:9/x.git", "HEAD", "")
    assert "127.0.0.1 port 9" in complaint("ssh://git@127.0.0.1:9/x.git", "HEAD", "")


def test_folders(repository: Path, tmp_path: Path) -> None:
    assert complaint(f"file://{repository}", "HEAD", "") == ""
    assert "is no git repository" in complaint(f"file://{tmp_path}", "HEAD", "")
    assert "has no folder" in complaint(f"file://{tmp_path}/x", "HEAD", "")
    assert "use https, ssh, git or file" in complaint("ftp://x/y", "HEAD", "")


def test_a_commit_is_not_looked_for() -> None:
    assert missing("a" * 40, {"HEAD", "refs/heads/main"}) == ""
    assert missing("HEAD", set()) == "the repository is empty"


def test_as_a_host_runs_it(server: str) -> None:
    command = [sys.executable, "-I", "-c", SCRIPT.read_text(), f"{server}/other.git", "HEAD"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert "answers 404" in done.stdout
