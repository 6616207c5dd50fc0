"""Shared notebooks: published while people work, from a folder or a repository, and opened by links."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import PLATFORM, PROJECT
from hub_client import HubClient, wait_until
from testinfra.host import Host

InBerth = Callable[[str, str], Any]

SERVICES = ("berth-hub", "berth-proxy", "docker")
BARE = "/srv/check-course.git"
"""A repository on the platform: `file://` needs no network, and is fetched like any other."""


def publish(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Publish as an operator does, by the plain playbook."""
    return subprocess.run(
        ["ansible-playbook", "-i", "inventory/demo", "playbooks/notebooks.yml", *arguments],
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "BERTH_DEMO_NAME": PLATFORM},
        capture_output=True,
        text=True,
        check=False,
    )


def published(host: Host) -> str:
    """The edition that berths pull."""
    return str(host.check_output("git --git-dir=/srv/berth/shared/notebooks.git rev-parse main"))


def follow(hub: HubClient, user: str, kind: str, name: str) -> tuple[int, str]:
    """Follow a link on a user's server; returns the status and where it leads."""
    answer = hub.as_user(user, "GET", f"/berth/open?{kind}={quote(name)}", allow_redirects=False)
    return answer.status_code, answer.headers.get("Location", answer.text)


@pytest.fixture
def edition(tmp_path: Path) -> Iterator[Path]:
    """A copy of the shared notebooks to change; afterwards the project's own are published again."""
    folder = tmp_path / "edition"
    shutil.copytree(PROJECT / "files" / "notebooks", folder)
    yield folder
    again = publish()
    assert again.returncode == 0, again.stdout


def test_a_running_berth_gets_a_new_edition_by_a_link_and_nothing_is_restarted(
    host: Host, hub: HubClient, people: tuple[str, str], in_berth: InBerth, edition: Path
) -> None:
    wait_until(lambda: in_berth("alice", "test -e ~/notebooks/why-a-hub.ipynb").succeeded)
    in_berth("alice", "echo mine > ~/notebooks/why-a-hub.ipynb")
    pids = "; ".join(f"systemctl show -p MainPID {name}" for name in SERVICES)
    pids += "; docker inspect --format '{{.State.Pid}}' berth-alice berth-bob"
    before = host.check_output(pids)

    for name in ("why-a-hub.ipynb", "new ü #1.ipynb"):
        shutil.copy(edition / "hello.ipynb", edition / name)
    done = publish("-e", json.dumps({"shared_notebooks_source": str(edition)}))
    assert done.returncode == 0, done.stdout
    assert "new ü #1.ipynb" not in in_berth("alice", "ls ~/notebooks").stdout

    page = f"/user/alice/lab/tree/notebooks/{quote('new ü #1.ipynb')}"
    assert follow(hub, "alice", "lab", "new ü #1.ipynb") == (302, page)
    assert in_berth("alice", "cmp ~/notebooks/hello.ipynb ~/notebooks/new*").succeeded
    assert in_berth("alice", "cat ~/notebooks/why-a-hub.ipynb").stdout == "mine\n"
    assert host.check_output(pids) == before


def test_a_repository_is_published_by_its_url(
    host: Host, hub: HubClient, people: tuple[str, str], edition: Path
) -> None:
    assert edition.is_dir()
    host.check_output(
        f"rm -rf {BARE} /srv/check-work && git init -q -b spring /srv/check-work && cd /srv/check-work && "
        "mkdir -p week && echo '{}' > week/one.ipynb && git add . && "
        "git -c user.name=x -c user.email=x@localhost commit -qm One && "
        f"git clone -q --bare /srv/check-work {BARE} && rm -rf /srv/check-work"
    )
    source = json.dumps({"shared_notebooks_source": f"file://{BARE}", "shared_notebooks_ref": "spring"})
    done = publish("-e", source)
    assert done.returncode == 0, done.stdout
    assert follow(hub, "bob", "notebook", "week/one.ipynb") == (302, "/user/bob/notebooks/notebooks/week/one.ipynb")
    assert "changed=0 " in publish("-e", source).stdout
    host.check_output(f"rm -rf {BARE}")


@pytest.mark.parametrize(
    ("source", "ref", "said"),
    [
        ("file:///srv/nowhere.git", "HEAD", ["shared_notebooks_source is file:///srv/nowhere.git", "cannot read"]),
        ("http://me:hush-hush@127.0.0.1:9/x", "HEAD", ["http://***@127.0.0.1:9/x", "cannot read"]),
        ("file:///srv/berth/shared/notebooks.git", "autumn", ["shared_notebooks_ref is autumn", "no such branch"]),
        (str(PROJECT / "docs"), "HEAD", ["has no notebook (*.ipynb) in it"]),
    ],
)
def test_what_cannot_be_published_is_refused_by_name(host: Host, source: str, ref: str, said: list[str]) -> None:
    before = published(host)
    done = publish("-e", json.dumps({"shared_notebooks_source": source, "shared_notebooks_ref": ref}))
    assert done.returncode == 2
    told = " ".join(done.stdout.split())
    assert all(words in told for words in said), done.stdout
    assert "hush-hush" not in done.stdout + done.stderr
    assert "changed=0 " in done.stdout
    assert published(host) == before


def test_a_link_to_nothing_says_so(hub: HubClient, people: tuple[str, str]) -> None:
    for name, status, said in (
        ("nowhere.ipynb", 404, "There is no shared notebook"),
        ("../.bashrc", 400, "is not the name of a shared notebook"),
        ("/etc/passwd", 400, "is not the name of a shared notebook"),
    ):
        code, text = follow(hub, "alice", "lab", name)
        assert code == status
        assert said in text


def test_nobody_who_is_not_logged_in_gets_a_page_or_a_file_of_an_app(
    hub: HubClient, people: tuple[str, str], in_berth: InBerth
) -> None:
    in_berth("alice", "echo secret > ~/plot.png")
    wait_until(lambda: follow(hub, "alice", "app", "hello.ipynb")[0] == 302)
    assert hub.as_user("alice", "GET", "/voila/files/plot.png").text == "secret\n"
    for path in ("/voila/render/notebooks/hello.ipynb", "/voila/files/plot.png", "/voila/tree", "/berth/open?lab=x"):
        answer = hub.session.get(f"{hub.url}/user/alice{path}", allow_redirects=False, timeout=60)
        assert answer.status_code == 302, path
        assert "/hub/api/oauth2/authorize" in answer.headers["Location"], path


def test_a_server_starts_without_voila(people: tuple[str, str], in_berth: InBerth) -> None:
    """Importing it would take a third of the start; it waits until somebody opens an app."""
    listed = in_berth("bob", "JUPYTER_CONFIG_PATH=/opt/berth/shared/jupyter jupyter server extension list 2>&1").stdout
    assert any("voila.server_extension" in line and "disabled" in line for line in listed.splitlines()), listed
    assert any("berth_open" in line and "enabled" in line for line in listed.splitlines()), listed


def test_apps_can_be_switched_off_while_berths_run(hub: HubClient, people: tuple[str, str], edition: Path) -> None:
    assert edition.is_dir()
    assert follow(hub, "alice", "app", "hello.ipynb")[0] == 302
    assert publish("-e", json.dumps({"shared_notebooks_apps": False})).returncode == 0
    code, text = follow(hub, "alice", "app", "hello.ipynb")
    assert code == 404
    assert "switched off" in text
    assert hub.as_user("alice", "GET", "/voila/render/notebooks/hello.ipynb").status_code == 404
    assert follow(hub, "alice", "lab", "hello.ipynb")[0] == 302
