"""What berths are given to pull: a folder or a repository, always on top of what was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.publish.conftest import git, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.publish.conftest import Host


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    path = tmp_path / "upstream"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    return path


def commit(upstream: Path, files: dict[str, str | bytes], *options: str) -> str:
    write(upstream, files)
    git(upstream, "add", "--all")
    git(upstream, "commit", "--quiet", "--message", "Edit", *options)
    return git(upstream, "rev-parse", "HEAD")


def test_a_folder_is_published_as_it_is(host: Host) -> None:
    files: dict[str, str | bytes] = {
        "hello.ipynb": "{}\n",
        "chapter two/with blanks.ipynb": "{}",
        "größe/日本.ipynb": "ü",
        'odd "quoted" \\ name.txt': "x",
        "-starts-with-a-dash": "x",
        "picture.png": bytes(range(256)),
        "empty.txt": "",
        ".hidden": "x",
        ".gitignore": "*.ipynb\n",
    }
    assert host.publish(files) == "changed"
    assert host.published() == {
        name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()
    }


def test_the_same_again_prints_nothing_and_adds_nothing(host: Host) -> None:
    host.publish({"a.ipynb": "1"})
    assert host.publish({"a.ipynb": "1"}) == ""
    assert len(host.history()) == 1


def test_a_file_that_is_deleted_is_gone(host: Host) -> None:
    host.publish({"a.ipynb": "1", "b/c.ipynb": "2"})
    assert host.publish({"a.ipynb": "1"}) == "changed"
    assert host.published() == {"a.ipynb": b"1"}


def test_each_edition_follows_the_one_before(host: Host) -> None:
    for number in range(3):
        host.publish({"a.ipynb": str(number)})
    assert len(host.history()) == 3


def test_a_repository_is_published(host: Host, upstream: Path) -> None:
    commit(upstream, {"a.ipynb": "1", "b c/ü.ipynb": "2"})
    assert host.publish_git(upstream) == "changed"
    assert host.publish_git(upstream) == ""
    assert host.published() == {"a.ipynb": b"1", "b c/ü.ipynb": b"2"}


def test_branch_tag_and_commit_may_be_named(host: Host, upstream: Path) -> None:
    first = commit(upstream, {"a.ipynb": "1"})
    git(upstream, "tag", "--annotate", "--message", "One", "v1")
    commit(upstream, {"a.ipynb": "2"})
    git(upstream, "branch", "spring")
    commit(upstream, {"a.ipynb": "3"})
    for ref, content in (("v1", b"1"), ("spring", b"2"), ("main", b"3"), (first, b"1")):
        host.publish_git(upstream, ref)
        assert host.published() == {"a.ipynb": content}


def test_a_rewritten_history_upstream_is_one_more_edition(host: Host, upstream: Path) -> None:
    commit(upstream, {"a.ipynb": "1"})
    host.publish_git(upstream)
    commit(upstream, {"a.ipynb": "other"}, "--amend")
    assert host.publish_git(upstream) == "changed"
    assert len(host.history()) == 2
    assert host.published() == {"a.ipynb": b"other"}


def test_from_folder_to_repository_and_back(host: Host, upstream: Path) -> None:
    commit(upstream, {"b.ipynb": "2"})
    host.publish({"a.ipynb": "1"})
    host.publish_git(upstream)
    assert host.published() == {"b.ipynb": b"2"}
    host.publish({"a.ipynb": "1"})
    assert host.published() == {"a.ipynb": b"1"}
    assert len(host.history()) == 3


def test_an_interrupted_first_run_is_mended(host: Host) -> None:
    host.repository.mkdir()
    (host.repository / "HEAD").write_text("ref: refs/heads/main\n")
    assert host.publish({"a.ipynb": "1"}) == "changed"
    assert host.published() == {"a.ipynb": b"1"}


def test_nothing_is_published_of_an_empty_source(host: Host, upstream: Path) -> None:
    """Every notebook that users left alone would vanish from their homes."""
    host.publish({"a.ipynb": "1"})
    commit(upstream, {}, "--allow-empty")
    refused = host.run("git", str(upstream), "HEAD")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no notebook (*.ipynb) in it" in refused.stderr
    assert host.published() == {"a.ipynb": b"1"}


def test_a_name_that_berths_cannot_show_is_refused_by_name(host: Host, upstream: Path) -> None:
    commit(upstream, {"fine ü.ipynb": "1", "gr\udcfc\udcdfe.ipynb": "1"})
    refused = host.run("git", str(upstream), "HEAD")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "rename grM-|M-_e.ipynb" in refused.stderr
    assert "fine" not in refused.stderr


def test_a_source_that_is_not_there_changes_nothing(host: Host, tmp_path: Path) -> None:
    host.publish({"a.ipynb": "1"})
    assert host.run("git", str(tmp_path / "nowhere"), "HEAD").returncode != 0
    assert host.run("folder", str(tmp_path / "nowhere.tar")).returncode != 0
    assert host.published() == {"a.ipynb": b"1"}


def test_a_branch_that_is_not_there_is_named(host: Host, upstream: Path) -> None:
    commit(upstream, {"a.ipynb": "1"})
    refused = host.run("git", str(upstream), "summer")
    assert refused.returncode != 0
    assert "summer" in refused.stderr


@pytest.mark.parametrize("arguments", [(), ("folder",), ("git", "url"), ("svn", "x"), ("folder", "a", "b")])
def test_wrong_use_is_explained(host: Host, arguments: tuple[str, ...]) -> None:
    refused = host.run(*arguments)
    assert refused.returncode == 2
    assert "use: berth-publish folder ARCHIVE, or: berth-publish git URL REF" in refused.stderr


def test_the_repository_can_be_read_by_every_berth(host: Host) -> None:
    host.publish({"a.ipynb": "1"})
    for path in [host.repository, *host.repository.rglob("*")]:
        mode = path.stat().st_mode
        assert mode & 0o004, path
        assert not path.is_dir() or mode & 0o001, path
