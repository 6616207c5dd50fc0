"""What a berth that runs already gets, when its user follows a link."""

from __future__ import annotations

import fcntl
import os
import subprocess
from typing import TYPE_CHECKING

from tests.unit.publish.conftest import environment, git

if TYPE_CHECKING:
    from tests.unit.publish.conftest import Home, Host


def pull(home: Home, when: str) -> str:
    done = subprocess.run(
        [str(home.host.shared / "pull"), when],
        env=environment(home.path, USER="jovyan"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_news_arrive_under_the_same_rules_as_at_the_start(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    home.file("b.ipynb").write_text("mine")
    host.publish({"a.ipynb": "2", "b.ipynb": "2", "c.ipynb": "2"})
    pull(home, "new")
    assert home.files() == {"a.ipynb": b"2", "b.ipynb": b"mine", "c.ipynb": b"2"}


def test_without_news_nothing_is_done(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    home.file("a.ipynb").unlink()
    assert pull(home, "new") == ""
    assert home.files() == {"b.ipynb": b"1"}


def test_what_the_user_deleted_comes_back_when_asked_for_again(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    home.file("a.ipynb").unlink()
    pull(home, "again")
    assert home.files() == {"a.ipynb": b"1", "b.ipynb": b"1"}


def test_whoever_deletes_the_own_version_gets_the_published_one(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    home.file("a.ipynb").write_text("mine")
    host.publish({"a.ipynb": "2"})
    pull(home, "new")
    assert home.files() == {"a.ipynb": b"mine"}
    home.file("a.ipynb").unlink()
    pull(home, "again")
    assert home.files() == {"a.ipynb": b"2"}


def test_locks_of_the_users_own_git_are_left_alone(host: Host, home: Home) -> None:
    """While the berth runs, somebody may be in the middle of a commit."""
    host.publish({"a.ipynb": "1"})
    home.start()
    lock = home.file(".git/refs/heads/mine.lock")
    lock.touch()
    host.publish({"a.ipynb": "2"})
    pull(home, "new")
    assert lock.exists()
    assert home.files() == {"a.ipynb": b"2"}


def test_it_waits_for_the_one_that_pulls_already(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    host.publish({"a.ipynb": "2"})
    directory = os.open(home.path, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    waiting = subprocess.Popen(
        [str(host.shared / "pull"), "new"],
        env=environment(home.path, USER="jovyan"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        waiting.wait(1)
    except subprocess.TimeoutExpired:
        pass
    else:
        raise AssertionError("it did not wait")
    assert home.files() == {"a.ipynb": b"1"}
    os.close(directory)
    assert waiting.wait(60) == 0
    assert home.files() == {"a.ipynb": b"2"}


def test_a_first_pull_is_made_if_there_was_none(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    pull(home, "new")
    assert home.files() == {"a.ipynb": b"1"}
    assert git(home.notebooks, "status", "--porcelain") == ""
