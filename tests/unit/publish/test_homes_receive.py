"""What arrives in a home, and what of the user's stays: the rule is by whole files, and the user's file always wins."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.publish.conftest import environment, git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.publish.conftest import Home, Host


def notebook(*cells: str) -> str:
    """A notebook as JupyterLab saves it."""
    made = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "outputs": [], "source": [cell]}
        for n, cell in enumerate(cells)
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def names_like(home: Home, start: str) -> list[str]:
    return sorted(name for name in home.files() if name.startswith(start))


def test_the_first_start_brings_all(host: Host, home: Home) -> None:
    host.publish({"hello.ipynb": "1", "größe/zwei drei.ipynb": "2", "picture.png": bytes(range(256))})
    home.start()
    assert home.files() == {"hello.ipynb": b"1", "größe/zwei drei.ipynb": b"2", "picture.png": bytes(range(256))}
    assert [path.name for path in home.path.iterdir()] == ["notebooks"]


def test_the_server_does_not_wait_for_the_notebooks(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    output = home.start().splitlines()
    assert output[0] == "server"
    assert home.files() == {"a.ipynb": b"1"}


def test_a_host_without_notebooks_starts_the_server_all_the_same(home: Home) -> None:
    assert home.start() == "server\n"
    assert not home.notebooks.exists()


def test_an_image_without_gitpuller_starts_the_server_all_the_same(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    started = subprocess.run(
        [str(host.shared / "start"), "echo", "server"],
        env={"HOME": str(home.path), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    assert (started.stdout, started.stderr) == (b"server\n", b"")


def test_the_server_gets_its_arguments_and_no_setting_of_the_pull(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    show = "import os, sys; print(sys.argv[1:], sorted(k for k in os.environ if k.startswith('GIT')))"
    started = subprocess.run(
        [str(host.shared / "start"), sys.executable, "-c", show, "a b", "--c="],
        env=environment(home.path),
        check=True,
        capture_output=True,
        text=True,
    )
    assert started.stdout.splitlines()[0] == "['a b', '--c='] []"


def test_where_the_notebooks_go_can_be_said(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    target = home.path / "my course"
    subprocess.run(
        [str(host.shared / "start"), "true"],
        env=environment(home.path, BERTH_NOTEBOOKS=str(target)),
        check=True,
        capture_output=True,
    )
    assert (target / "a.ipynb").read_text() == "1"


def test_what_the_user_left_alone_follows(host: Host, home: Home) -> None:
    host.publish({"same.ipynb": "1", "changes.ipynb": "1", "goes.ipynb": "1", "deep/goes.ipynb": "1"})
    home.start()
    host.publish({"same.ipynb": "1", "changes.ipynb": "2", "new.ipynb": "1", "deeper/still/ü.ipynb": "1"})
    home.start()
    assert home.files() == {"same.ipynb": b"1", "changes.ipynb": b"2", "new.ipynb": b"1", "deeper/still/ü.ipynb": b"1"}


def test_several_editions_at_once(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    for number in range(2, 5):
        host.publish({"a.ipynb": str(number)})
    home.start()
    assert home.files() == {"a.ipynb": b"4"}


def test_a_changed_notebook_is_never_mixed_with_a_new_edition(host: Host, home: Home) -> None:
    """Line by line, git would take the user's second cell and the published first and third."""
    host.publish({"a.ipynb": notebook("one", "two", "three", "four", "five"), "b.ipynb": "1"})
    home.start()
    mine = notebook("one", "two", "my three", "four", "five")
    home.file("a.ipynb").write_text(mine)
    host.publish({"a.ipynb": notebook("new one", "two", "three", "four", "new five"), "b.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": mine.encode(), "b.ipynb": b"2"}


def test_a_conflict_leaves_the_users_notebook_byte_for_byte(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": notebook("one"), "b.ipynb": "1"})
    home.start()
    mine = notebook("my one", "and more").replace("\n", "\r\n").encode() + b"\n\n "
    home.file("a.ipynb").write_bytes(mine)
    host.publish({"a.ipynb": notebook("new one"), "b.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": mine, "b.ipynb": b"2"}


def test_an_edit_wins_for_good(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": notebook("one", "two", "three", "four", "five"), "b.ipynb": "1"})
    home.start()
    mine = notebook("one", "two", "three", "four", "my five")
    home.file("a.ipynb").write_text(mine)
    for number in range(2, 5):
        host.publish({"a.ipynb": notebook(f"one {number}", "two", "three", "four", "five"), "b.ipynb": str(number)})
        home.start()
        assert home.files() == {"a.ipynb": mine.encode(), "b.ipynb": str(number).encode()}
    mine = notebook("one", "my two", "three", "four", "my five")
    home.file("a.ipynb").write_text(mine)
    host.publish({"a.ipynb": notebook("new one", "two", "three", "four", "five"), "b.ipynb": "5"})
    home.start()
    assert home.files() == {"a.ipynb": mine.encode(), "b.ipynb": b"5"}


def test_a_changed_picture_stays(host: Host, home: Home) -> None:
    host.publish({"a.png": b"\x89PNG\0one", "b.png": b"\0one", "c.ipynb": "1"})
    home.start()
    home.file("a.png").write_bytes(b"\x89PNG\0mine")
    host.publish({"a.png": b"\x89PNG\0two", "b.png": b"\0two", "c.ipynb": "1"})
    home.start()
    assert home.files() == {"a.png": b"\x89PNG\0mine", "b.png": b"\0two", "c.ipynb": b"1"}


def test_a_changed_notebook_survives_its_deletion_upstream(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1", "c.ipynb": "1"})
    home.start()
    home.file("a.ipynb").write_text("mine")
    host.publish({"c.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "c.ipynb": b"2"}
    host.publish({"c.ipynb": "3"})
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "c.ipynb": b"3"}


def test_a_changed_notebook_stays_where_it_is_when_the_published_one_moves(host: Host, home: Home) -> None:
    text = notebook(*"abcdefghij")
    host.publish({"old name.ipynb": text})
    home.start()
    mine = text.replace('"j"', '"my j"')
    home.file("old name.ipynb").write_text(mine)
    host.publish({"new name.ipynb": text})
    home.start()
    assert home.files() == {"old name.ipynb": mine.encode(), "new name.ipynb": text.encode()}


@pytest.mark.parametrize("name", ["extra.ipynb", "größe.ipynb", "with blanks.ipynb", "deep/er/extra.ipynb"])
def test_a_file_of_the_users_steps_aside_for_a_published_one(host: Host, home: Home, name: str) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    home.file(name).parent.mkdir(parents=True, exist_ok=True)
    home.file(name).write_text("mine")
    host.publish({"a.ipynb": "2", name: "published"})
    home.start()
    files = home.files()
    assert files.pop(name) == b"published"
    assert files.pop("a.ipynb") == b"2"
    assert list(files.values()) == [b"mine"]
    assert next(iter(files)).startswith(name.removesuffix(".ipynb"))


def test_it_steps_aside_too_when_the_published_one_was_only_moved_there(host: Host, home: Home) -> None:
    text = notebook(*"abcdefghij")
    host.publish({"old.ipynb": text})
    home.start()
    home.file("new.ipynb").write_text("mine")
    host.publish({"new.ipynb": text})
    home.start()
    assert home.file("new.ipynb").read_text() == text
    assert sorted(home.files().values()) == sorted([text.encode(), b"mine"])


def test_a_file_where_a_folder_is_published_steps_aside(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    home.file("course").write_text("mine")
    host.publish({"a.ipynb": "2", "course/one.ipynb": "1"})
    home.start()
    assert home.file("a.ipynb").read_text() == "2"
    assert home.file("course/one.ipynb").read_text() == "1"
    assert [home.file(name).read_text() for name in names_like(home, "course__")] == ["mine"]


def test_a_file_in_place_of_a_published_folder_is_not_deleted(host: Host, home: Home) -> None:
    """When gitpuller brings back what was deleted in it, git would delete the file to make the folder."""
    host.publish({"course/one.ipynb": "1"})
    home.start()
    home.file("course/one.ipynb").unlink()
    home.file("course").rmdir()
    home.file("course").write_text("mine")
    home.start()
    assert home.file("course/one.ipynb").read_text() == "1"
    assert [home.file(name).read_text() for name in names_like(home, "course__")] == ["mine"]


def test_a_link_in_place_of_a_published_folder_is_not_followed(host: Host, home: Home) -> None:
    host.publish({"data/one.csv": "1", "a.ipynb": "1"})
    home.start()
    elsewhere = home.path / "elsewhere"
    home.file("data").rename(elsewhere)
    home.file("data").symlink_to(elsewhere)
    (elsewhere / "one.csv").write_text("mine")
    host.publish({"data/one.csv": "2", "a.ipynb": "1"})
    home.start()
    assert (elsewhere / "one.csv").read_text() == "mine"
    assert home.file("data/one.csv").read_text() == "2"


def test_a_folder_in_place_of_a_published_file_steps_aside(host: Host, home: Home) -> None:
    host.publish({"a": "1", "b.ipynb": "1"})
    home.start()
    home.file("a").unlink()
    home.file("a").mkdir()
    home.file("a/mine.ipynb").write_text("mine")
    for number in ("2", "3"):
        host.publish({"a": number, "b.ipynb": number})
        home.start()
        assert home.file("a").read_text() == number
        assert home.file("b.ipynb").read_text() == number
        assert [home.file(name).read_text() for name in names_like(home, "a__")] == ["mine"]


def test_a_folder_published_in_place_of_a_changed_file(host: Host, home: Home) -> None:
    host.publish({"a": "1", "b.ipynb": "1"})
    home.start()
    home.file("a").write_text("mine")
    for number in ("2", "3"):
        host.publish({"a/one.ipynb": number, "b.ipynb": number})
        home.start()
        assert b"mine" in home.files().values()
        assert home.file("b.ipynb").read_text() == number
        assert home.file("a/one.ipynb").read_text() == number


def test_a_deleted_notebook_comes_back_and_nothing_else_is_lost(host: Host, home: Home) -> None:
    """A notebook is fresh again once it was deleted: what gitpuller is known for."""
    host.publish({"a.ipynb": "1", "b.ipynb": "1", "c.ipynb": "1"})
    home.start()
    home.file("a.ipynb").unlink()
    home.file("b.ipynb").write_text("mine")
    host.publish({"a.ipynb": "2", "b.ipynb": "2", "c.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"2", "b.ipynb": b"mine", "c.ipynb": b"2"}


def test_a_notebook_deleted_by_both_is_gone(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "ü.ipynb": "1", "c.ipynb": "1"})
    home.start()
    home.file("a.ipynb").unlink()
    home.file("ü.ipynb").unlink()
    host.publish({"c.ipynb": "2"})
    home.start()
    assert home.files() == {"c.ipynb": b"2"}


def test_files_of_the_users_stay(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    home.file("mine.ipynb").write_text("mine")
    home.file("folder").mkdir()
    home.file("folder/ü.ipynb").write_text("mine")
    host.publish({"a.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"2", "mine.ipynb": b"mine", "folder/ü.ipynb": b"mine"}


def test_commits_of_the_users_stay(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    home.file("a.ipynb").write_text("mine")
    home.file("mine.ipynb").write_text("mine")
    git(home.notebooks, "add", "--all")
    git(home.notebooks, "commit", "--quiet", "--message", "My own")
    own = git(home.notebooks, "rev-parse", "HEAD")
    host.publish({"a.ipynb": "2", "b.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "b.ipynb": b"2", "mine.ipynb": b"mine"}
    git(home.notebooks, "merge-base", "--is-ancestor", own, "HEAD")


def test_a_branch_of_the_users_stays_checked_out(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    git(home.notebooks, "switch", "--quiet", "--create", "mine")
    host.publish({"a.ipynb": "2"})
    home.start()
    assert git(home.notebooks, "branch", "--show-current") == "mine"
    assert home.files() == {"a.ipynb": b"2"}


def test_settings_and_hooks_of_the_users_cannot_stop_it(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    (home.path / ".gitconfig").write_text(
        "[commit]\n\tgpgSign = true\n[merge]\n\tff = only\n"
        '[core]\n\tattributesFile = ~/.attributes\n[merge "bad"]\n\tdriver = false\n'
    )
    (home.path / ".attributes").write_text("* merge=bad\n")
    hook = home.file(".git/hooks/pre-commit")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    home.file("a.ipynb").write_text("mine")
    host.publish({"a.ipynb": "2", "b.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "b.ipynb": b"2"}


def test_published_attributes_cannot_undo_the_rule(host: Host, home: Home) -> None:
    attributes = "*.ipynb merge=union\n*.py -merge\n"
    old, mine, new = "a\nb\nc\nd\n", "a\nB\nc\nd\n", "A\nb\nc\nD\n"
    host.publish({".gitattributes": attributes, "a.ipynb": old, "a.py": old, "b.ipynb": "1"})
    home.start()
    for name in ("a.ipynb", "a.py"):
        home.file(name).write_text(mine)
    host.publish({".gitattributes": attributes, "a.ipynb": new, "a.py": new, "b.ipynb": "2"})
    home.start()
    assert home.files() == {
        ".gitattributes": attributes.encode(),
        "a.ipynb": mine.encode(),
        "a.py": mine.encode(),
        "b.ipynb": b"2",
    }


def test_the_users_own_attributes_are_kept(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    home.start()
    home.file(".git/info").mkdir(exist_ok=True)
    home.file(".git/info/attributes").write_text("*.ipynb merge=union\n")
    for number in ("2", "3"):
        host.publish({"a.ipynb": number})
        home.start()
    assert home.file(".git/info/attributes").read_text() == "*.ipynb merge=union\n* merge=keep\n"


def test_the_user_can_still_merge_line_by_line(host: Host, home: Home) -> None:
    """The rule is for the pull: in a terminal, git does what git does."""
    host.publish({"a.txt": "a\nb\nc\nd\ne\n", "b.ipynb": "1"})
    home.start()
    home.start()
    git(home.notebooks, "switch", "--quiet", "--create", "side")
    home.file("a.txt").write_text("A\nb\nc\nd\ne\n")
    git(home.notebooks, "commit", "--quiet", "--all", "--message", "Side")
    git(home.notebooks, "switch", "--quiet", "main")
    home.file("a.txt").write_text("a\nb\nc\nd\nE\n")
    git(home.notebooks, "commit", "--quiet", "--all", "--message", "Main")
    git(home.notebooks, "merge", "--quiet", "--no-edit", "side")
    assert home.file("a.txt").read_text() == "A\nb\nc\nd\nE\n"


def test_from_folder_to_repository_and_back(host: Host, home: Home, tmp_path: Path) -> None:
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    git(upstream, "init", "--quiet", "--initial-branch=main")
    (upstream / "a.ipynb").write_text("from git")
    (upstream / "c.ipynb").write_text("1")
    git(upstream, "add", "--all")
    git(upstream, "commit", "--quiet", "--message", "One")
    host.publish({"a.ipynb": "1", "b.ipynb": "1", "mine.ipynb": "1"})
    home.start()
    home.file("mine.ipynb").write_text("mine")
    host.publish_git(upstream)
    home.start()
    assert home.files() == {"a.ipynb": b"from git", "c.ipynb": b"1", "mine.ipynb": b"mine"}
    host.publish({"a.ipynb": "2", "b.ipynb": "1", "mine.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"2", "b.ipynb": b"1", "mine.ipynb": b"mine"}


def test_a_pull_that_was_killed_is_made_up_for(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    for lock in ("index.lock", "HEAD.lock", "refs/heads/main.lock", "refs/remotes/origin/main.lock"):
        home.file(f".git/{lock}").parent.mkdir(parents=True, exist_ok=True)
        home.file(f".git/{lock}").touch()
    home.file("b.ipynb").write_text("mine")
    host.publish({"a.ipynb": "2", "b.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"2", "b.ipynb": b"mine"}


def test_a_first_pull_that_was_killed_is_made_up_for(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1"})
    half = home.path / ".notebooks.new"
    (half / ".git").mkdir(parents=True)
    (half / "a.ipynb").write_text("")
    home.start()
    assert home.files() == {"a.ipynb": b"1"}
    assert [path.name for path in home.path.iterdir()] == ["notebooks"]


def test_nobody_sees_half_of_a_first_pull(host: Host, home: Home) -> None:
    """What fails half way leaves no folder behind that would stand in the way of the next start."""
    host.publish({"a.ipynb": "1"})
    blob = git(host.repository, "rev-parse", "main:a.ipynb")
    path = host.repository / "objects" / blob[:2] / blob[2:]
    content = path.read_bytes()
    path.unlink()
    home.start(complete=False)
    assert not home.notebooks.exists()
    path.write_bytes(content)
    home.start()
    assert home.files() == {"a.ipynb": b"1"}


def test_a_merge_that_was_killed_is_made_up_for(host: Host, home: Home) -> None:
    """Between git's report of a conflict (changed here, deleted there) and gitpuller's answer to it."""
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    home.file("a.ipynb").write_text("mine")
    git(home.notebooks, "commit", "--quiet", "--all", "--message", "As gitpuller does")
    host.publish({"b.ipynb": "2"})
    git(home.notebooks, "fetch", "--quiet")
    with pytest.raises(subprocess.CalledProcessError):
        git(home.notebooks, "merge", "-Xours", "origin/main")
    assert home.file(".git/MERGE_HEAD").exists()
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "b.ipynb": b"2"}
    host.publish({"b.ipynb": "3"})
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "b.ipynb": b"3"}


def test_a_folder_that_was_there_before_is_filled_up(host: Host, home: Home) -> None:
    home.notebooks.mkdir()
    home.file("a.ipynb").write_text("mine")
    home.file("own.ipynb").write_text("mine")
    host.publish({"a.ipynb": "1", "b/c.ipynb": "1"})
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "own.ipynb": b"mine", "b/c.ipynb": b"1"}
    host.publish({"a.ipynb": "2", "b/c.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"mine", "own.ipynb": b"mine", "b/c.ipynb": b"2"}


def test_a_broken_repository_is_set_aside(host: Host, home: Home) -> None:
    """Empty objects are what a host that lost its power leaves behind."""
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    home.file("a.ipynb").write_text("mine")
    for path in home.file(".git/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"")
    host.publish({"a.ipynb": "2", "b.ipynb": "1", "c.ipynb": "1"})
    home.start()
    assert home.files()["a.ipynb"] == b"mine"
    assert home.files()["c.ipynb"] == b"1"
    assert [path.name for path in home.notebooks.glob(".git.broken-*")] != []


def test_a_repository_of_the_whole_home_is_left_alone(host: Host, home: Home) -> None:
    git(home.path, "init", "--quiet", "--initial-branch=main")
    (home.path / ".profile").write_text("mine")
    git(home.path, "add", ".profile")
    git(home.path, "commit", "--quiet", "--message", "Mine")
    before = git(home.path, "rev-parse", "HEAD")
    (home.path / ".profile").write_text("changed")
    home.notebooks.mkdir()
    home.file("a.ipynb").write_text("mine")
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    assert git(home.path, "rev-parse", "HEAD") == before
    assert git(home.path, "diff", "--name-only") == ".profile"
    assert home.files() == {"a.ipynb": b"mine", "b.ipynb": b"1"}


def test_a_host_that_was_made_anew_is_followed(host: Host, home: Home) -> None:
    """Homes came back from a backup and the repository was published anew: they have no commit in common."""
    host.publish({"a.ipynb": "1", "b.ipynb": "1", "c.ipynb": "1"})
    home.start()
    home.file("b.ipynb").write_text("mine")
    host.repository.rename(host.base / "lost")
    host.publish({"a.ipynb": "2", "b.ipynb": "2"})
    home.start()
    assert home.files() == {"a.ipynb": b"2", "b.ipynb": b"mine"}
    host.publish({"a.ipynb": "3", "b.ipynb": "3"})
    home.start()
    assert home.files() == {"a.ipynb": b"3", "b.ipynb": b"mine"}


def test_two_users_do_not_meet(host: Host, home: Home, tmp_path: Path) -> None:
    other = type(home)(host, tmp_path / "other")
    other.path.mkdir()
    host.publish({"a.ipynb": "1"})
    for one in (home, other):
        one.start()
    home.file("a.ipynb").write_text("mine")
    host.publish({"a.ipynb": "2"})
    for one in (home, other):
        one.start()
    assert home.files() == {"a.ipynb": b"mine"}
    assert other.files() == {"a.ipynb": b"2"}


def test_every_start_without_news_leaves_everything_as_it_is(host: Host, home: Home) -> None:
    host.publish({"a.ipynb": "1", "b.ipynb": "1"})
    home.start()
    home.file("a.ipynb").write_text("mine")
    home.start()
    before = {name: home.file(name).stat().st_mtime_ns for name in home.files()}
    home.start()
    assert {name: home.file(name).stat().st_mtime_ns for name in home.files()} == before
    assert home.files() == {"a.ipynb": b"mine", "b.ipynb": b"1"}
