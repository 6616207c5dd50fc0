"""A host that publishes notebooks and homes that receive them: the real scripts, git and gitpuller."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles" / "shared_notebooks" / "files"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the person's who runs the tests; gitpuller from beside the interpreter."""
    return {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LANG": "C.UTF-8", **more}


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@localhost")
    return subprocess.run(
        ["git", *identity, "-C", str(directory), *arguments],
        env=environment(directory),
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """Make a folder hold these files and no others."""
    for path in folder.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def read(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@dataclass
class Host:
    """Where notebooks are published."""

    base: Path

    def __post_init__(self) -> None:
        self.shared.mkdir(parents=True)
        for file in (FILES / "host" / "srv" / "berth" / "shared").iterdir():
            if file.is_file():
                shutil.copy(file, self.shared)

    @property
    def shared(self) -> Path:
        return self.base / "shared"

    @property
    def repository(self) -> Path:
        return self.shared / "notebooks.git"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(FILES / "berth-publish"), *arguments],
            env=environment(self.base, BERTH_SHARED=str(self.shared)),
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )

    def publish(self, files: dict[str, str | bytes]) -> str:
        """Publish a folder with these files; returns what was printed."""
        source = self.base / "source"
        source.mkdir(exist_ok=True)
        write(source, files)
        return self.publish_folder(source)

    def publish_folder(self, source: Path) -> str:
        archive = self.base / "published.tar"
        subprocess.run(
            ["tar", "--create", f"--file={archive}", f"--directory={source}", "--sort=name", "--exclude=.git", "."],
            check=True,
        )
        return self._ok(self.run("folder", str(archive)))

    def publish_git(self, url: str | Path, ref: str = "HEAD") -> str:
        return self._ok(self.run("git", str(url), ref))

    def _ok(self, done: subprocess.CompletedProcess[str]) -> str:
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def published(self) -> dict[str, bytes]:
        """What a berth that starts now would be given."""
        copy = self.base / "look"
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", self.repository, copy], env=environment(self.base), check=True)
        return read(copy)

    def history(self) -> list[str]:
        return git(self.repository, "rev-list", "main").split()


@dataclass
class Home:
    """The home of a user whose berth is started."""

    host: Host
    path: Path

    @property
    def notebooks(self) -> Path:
        return self.path / "notebooks"

    def start(self, *, complete: bool = True) -> str:
        """Start a berth and wait until the pull beside its server has ended; returns what the pull printed.

        Whether it came to its end is read from its output, since the exit code is the server's.
        """
        done = subprocess.run(
            [str(self.host.shared / "start"), "echo", "server"],
            env=environment(self.path, USER="jovyan"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=30,
        )
        assert "server" in done.stdout.splitlines()
        assert ("Traceback" in done.stdout or "fatal:" in done.stdout) is not complete, done.stdout
        return done.stdout

    def files(self) -> dict[str, bytes]:
        return read(self.notebooks)

    def file(self, name: str) -> Path:
        return self.notebooks / name


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


@pytest.fixture
def home(host: Host, tmp_path: Path) -> Home:
    path = tmp_path / "home"
    path.mkdir()
    return Home(host, path)
