"""What is kept of a release, what comes back, what stays: on real files and databases."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING, Any

import berth_hub
import pytest
from berth_release import __main__ as program
from berth_release import back, database, files, record, releases, services

import berth_cli
from tests.unit.release.conftest import NEW, OLD, make_database

if TYPE_CHECKING:
    from tests.unit.release.conftest import Host

LATER_SECONDS = 5


def upgraded(host: Host) -> releases.Release:
    """A host that has gone on to another release; returns the one before."""
    before = releases.keep(host.root)
    host.write("etc/berth/hub.json", json.dumps({"berth": {"image": "berth/notebook:new"}}), 0o644)
    host.write("etc/berth/secrets/backup_key", "made by the new release", 0o600)
    host.write("etc/berth/secrets/cookie_secret", "new", 0o600)
    host.write("etc/systemd/system/berth-new.service")
    host.write("opt/berth/lib/berth_hub/new.py")
    host.write("opt/berth/lib/berth_release/new.py")
    host.lay("base", "usr/local/sbin/berth-venv", "usr/local/sbin/berth-new")
    host.lay("new", "usr/local/sbin/berth-newer")
    host.write("usr/local/sbin/berth-venv", "new")
    host.use_venv("hub-new", "6.1.1")
    return before


def go_back(host: Host, release: releases.Release, gave_up: str = "") -> dict[str, Any]:
    return back.go_back(host.root, release, gave_up=gave_up, seconds=1)


def migrate(host: Host, *users: str, copy: bool = True) -> None:
    """As `jupyterhub upgrade-db` does: a copy first, beside it."""
    if copy:
        made = make_database(host.database.with_name("jupyterhub.sqlite.2026-11-29-184711"), OLD, *users)
        os.utime(made, (time.time() + LATER_SECONDS,) * 2)
    host.set_database(NEW, *users, "made-since")


def test_everything_of_a_release_comes_back_and_the_other_one_is_kept(host: Host) -> None:
    was = {name: (host.root / name).lstat() for name in files.members(host.root)}
    before = upgraded(host)
    told = go_back(host, before)
    assert json.loads(host.read("etc/berth/hub.json"))["berth"]["image"] == "berth/notebook:old"
    assert (host.root / "opt/berth/hub").readlink().name == "hub-old"
    assert host.read("usr/local/sbin/berth-venv") == "of base"
    for gone in (
        "etc/systemd/system/berth-new.service",
        "opt/berth/lib/berth_hub/new.py",
        "usr/local/sbin/berth-new",
        "usr/local/sbin/berth-newer",
    ):
        assert not (host.root / gone).exists(), gone
    for name, status in was.items():
        there = (host.root / name).lstat()
        assert (there.st_mode, int(there.st_mtime)) == (status.st_mode, int(status.st_mtime)) or (
            name.startswith("etc/berth/secrets/") or stat.S_ISLNK(there.st_mode)
        ), name
    assert (told["jupyterhub"], told["database"], host.users()) == ("5.5.4", "stays", ["alice"])
    # And forth again.
    left = releases.find(host.root, told["left"])
    assert left.note["jupyterhub"] == "6.1.1"
    go_back(host, left)
    assert (host.root / "opt/berth/hub").readlink().name == "hub-new"
    assert host.read("usr/local/sbin/berth-newer") == "of new"


def test_this_program_secrets_made_since_and_certificates_of_the_host_stay(host: Host) -> None:
    before = upgraded(host)
    (host.root / "usr/local/share/ca-certificates/site.crt").write_text("renewed")
    go_back(host, before)
    assert host.read("etc/berth/secrets/backup_key") == "made by the new release", "without it all backups are lost"
    assert host.read("etc/berth/secrets/cookie_secret") == "new", "somebody wants the release, not old secrets"
    assert host.read("opt/berth/lib/berth_release/new.py")
    assert host.read("usr/local/share/ca-certificates/site.crt") == "renewed"


def test_of_one_that_did_not_work_secrets_go_back_and_none_is_lost(host: Host) -> None:
    before = upgraded(host)
    told = go_back(host, before, "it does not start")
    assert host.read("etc/berth/secrets/cookie_secret") == "old"
    assert host.read("etc/berth/secrets/backup_key") == "made by the new release"
    left = releases.find(host.root, told["left"])
    assert (left.gave_up, left.note["gave_up"]) == (True, "it does not start")
    assert releases.find(host.root, "previous").id == before.id, "nobody goes there unasked"


def test_what_is_the_same_is_not_touched(host: Host) -> None:
    before = upgraded(host)
    there = (host.root / "opt/berth/lib/berth_hub/__init__.py").stat()
    changed = files.put(host.root, before.archive, of_the_host=True)
    assert "opt/berth/lib/berth_hub/__init__.py" not in changed
    assert (host.root / "opt/berth/lib/berth_hub/__init__.py").stat().st_ctime_ns == there.st_ctime_ns
    assert {"opt/berth/hub", "etc/berth/hub.json", "opt/berth/lib/berth_hub/new.py"} <= changed
    assert services.readers(services.lists(host.root), {"opt/berth/hub"}) == ["berth-hub.service"]
    assert services.readers(services.lists(host.root), {"opt/berth/lib/berth_hub/a/b.py"}) == ["berth-hub.service"]
    assert services.readers(services.lists(host.root), {"opt/berth/lib/berth_hub2.py"}) == []


@pytest.mark.parametrize("gave_up", ["", "it does not start"])
def test_of_another_schema_the_copy_that_knows_most_goes_back(host: Host, gave_up: str) -> None:
    before = upgraded(host)
    migrate(host, "alice", "made-while-the-image-was-built")
    told = go_back(host, before, gave_up)
    assert told["database"] == "before its migration"
    assert host.users() == ["alice", "made-while-the-image-was-built"]
    left = releases.find(host.root, told["left"])
    assert database.revision(left.database) == NEW
    assert stat.S_IMODE(host.database.stat().st_mode) == 0o600
    go_back(host, left)
    assert "made-since" in host.users(), "and forth again nothing is lost"


def test_without_such_a_copy_the_one_that_was_kept_goes_back(host: Host) -> None:
    before = upgraded(host)
    migrate(host, "alice", "bob", copy=False)
    assert (go_back(host, before)["database"], host.users()) == ("as kept", ["alice"])


def test_of_the_same_schema_the_present_one_stays(host: Host) -> None:
    before = upgraded(host)
    host.set_database(OLD, "alice", "made-since")
    assert (go_back(host, before)["database"], host.users()) == ("stays", ["alice", "made-since"])


def test_a_migration_that_broke_off_is_not_trusted(host: Host) -> None:
    """SQLite's tables may be changed already, while the database still tells of the old schema."""
    before = upgraded(host)
    migrate(host, "alice")
    host.set_database(OLD, "half-changed")
    assert go_back(host, before, "upgrade-db failed")["database"] == "before its migration"
    assert host.users() == ["alice"]


def test_months_later_such_a_copy_is_history(host: Host) -> None:
    before = upgraded(host)
    migrate(host, "alice")
    host.set_database(OLD, "alice", "many", "more")
    assert (go_back(host, before)["database"], host.users()) == ("stays", ["alice", "many", "more"])


def test_a_hub_that_cannot_use_the_present_one_gets_the_copy(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = upgraded(host)
    host.set_database(OLD, "what the hub cannot read")
    monkeypatch.setattr(services, "wait_until_healthy", lambda _root, _seconds: host.users() == ["alice"])
    told = go_back(host, before, "broken")
    assert (told["healthy"], told["database"]) == (True, "as kept")


def test_a_damaged_database_is_put_aside_whole(host: Host) -> None:
    before = upgraded(host)
    content = host.database.read_bytes()
    host.database.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    damaged = host.database.read_bytes()
    told = go_back(host, before, "broken")
    assert (told["database"], host.users()) == ("as kept", ["alice"])
    assert releases.find(host.root, told["left"]).database.read_bytes() == damaged


def test_a_damaged_database_is_not_kept_for_going_back(host: Host) -> None:
    host.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(database.DatabaseError):
        releases.keep(host.root)
    assert releases.listed(host.root) == []


def test_as_many_are_kept_as_wanted_and_what_they_need(host: Host) -> None:
    kept = []
    for name in ("hub-a", "hub-b", "hub-c", "hub-d"):
        host.use_venv(name)
        kept.append(releases.keep(host.root).id)
    host.use_venv("hub-e")
    bad = releases.keep(host.root, gave_up="broken").id
    host.use_venv("hub-f")
    told = releases.prune(host.root, 2)
    assert sorted(told["releases"]) == kept[:2]
    assert [one.id for one in releases.listed(host.root)] == [bad, kept[3], kept[2]]
    there = sorted(path.name for path in (host.root / "opt/berth/venvs").iterdir())
    assert there == ["hub-c", "hub-d", "hub-e", "hub-f"]
    assert sorted(told["venvs"]) == ["hub-a", "hub-b", "hub-old"]


def test_one_that_an_upgrade_may_go_back_to_is_never_let_go(host: Host) -> None:
    first = releases.keep(host.root)
    releases.set_pending(host.root, first)
    for _ in range(3):
        releases.keep(host.root)
    releases.prune(host.root, 1)
    assert first.id in [one.id for one in releases.listed(host.root)]


@pytest.fixture
def watched(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A host whose upgrade has broken off and whose hub does not answer; what became of its watch."""
    said: list[str] = []
    monkeypatch.setattr(program, "ROOT", host.root)
    monkeypatch.setattr(services, "wait_until_healthy", lambda _root, _seconds: False)
    monkeypatch.setattr(services, "disarm", lambda: said.append("disarmed"))
    releases.set_pending(host.root, upgraded(host))
    return said


def test_a_host_that_is_left_alone_goes_back(
    host: Host, watched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["watch", "20"]) == 0
    assert (host.root / "opt/berth/hub").readlink().name == "hub-old"
    left = releases.find(host.root, json.loads(capsys.readouterr().out)["left"])
    assert left.note["gave_up"] == "the hub did not answer for 20 s, and whoever upgraded was gone"
    assert program.main(["watch", "20"]) == 0
    assert watched == ["disarmed"], "once it is through, nobody watches any more"


def test_a_hub_that_answers_is_left_alone(host: Host, watched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "wait_until_healthy", lambda _root, _seconds: True)
    assert program.main(["watch", "20"]) == 0
    assert ((host.root / "opt/berth/hub").readlink().name, watched) == ("hub-new", [])


def test_what_goes_wrong_the_next_day_is_another_matter(host: Host, watched: list[str]) -> None:
    begun = time.time() - program.WATCH_SECONDS_MAX - 1
    os.utime(host.root / record.PENDING, (begun, begun))
    assert program.main(["watch", "20"]) == 0
    assert ((host.root / "opt/berth/hub").readlink().name, watched) == ("hub-new", ["disarmed"])


@pytest.mark.usefixtures("watched")
def test_an_upgrade_that_broke_off_begins_where_the_first_one_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["keep", "300"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reused"], told["jupyterhub"]) == (True, "5.5.4"), "and not with what is half there"
    assert program.main(["prune", "1"]) == 0
    assert program.main(["keep", "300"]) == 0
    assert not json.loads(capsys.readouterr().out.splitlines()[-1])["reused"]


@pytest.mark.usefixtures("watched")
def test_wrong_use_and_no_release_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["back"]) == 2
    assert program.main(["back", "2020-01-01_000000", "1"]) == 1
    assert "no release '2020-01-01_000000' is kept here; those that are: 20" in capsys.readouterr().err


def image(name: str, *layers: str) -> dict[str, Any]:
    return {"Id": f"id-{name}", "RepoTags": [name], "RootFS": {"Layers": list(layers)}}


def test_images_of_the_site_in_use_or_below_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [
        image("berth/base:1", "a"),
        image("berth/base:0", "z"),
        image("berth/notebook:now", "a", "b"),
        image("berth/notebook:used", "y", "b"),
        image("berth/notebook:gone", "z", "b"),
        image("site/notebook:2", "q"),
    ]
    removed = []

    def run(*command: str, **_more: object) -> str:
        if command[:3] == ("docker", "image", "rm"):
            removed.append(command[3])
            return "removed"
        answers: dict[tuple[str, ...], str] = {
            ("docker", "image", "ls"): "\n".join(one["RepoTags"][0] for one in there),
            ("docker", "image", "inspect"): json.dumps([one for one in there if one["RepoTags"][0] in command]),
            ("docker", "ps", "--all"): "c1",
            ("docker", "inspect", "--format"): "id-berth/notebook:used",
        }
        return answers[command[:3]]

    monkeypatch.setattr(services, "run", run)
    assert services.prune_images({"berth/notebook:now", ""}) == removed
    assert sorted(removed) == ["berth/base:0", "berth/notebook:gone"]


def test_the_time_of_a_note_changes_with_the_rest_only(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"])
    monkeypatch.setattr(record, "now", lambda: next(moments))
    monkeypatch.setattr(record, "_engine", lambda: "26.1.5")
    assert record.note(host.root, "abc", dry=True)
    assert not (host.root / record.NOTE).exists()
    assert record.note(host.root, "abc")
    assert not record.note(host.root, "abc")
    noted = json.loads(host.read(record.NOTE))
    assert noted == {
        "berth": "0.1.0",
        "commit": "abc",
        "jupyterhub": "5.5.4",
        "traefik": "",
        "docker": "26.1.5",
        "image": "berth/notebook:old",
        "converged": "2026-01-01T00:00:00+00:00",
    }
    host.use_venv("hub-new", "6.1.1")
    assert record.note(host.root, "abc")
    assert json.loads(host.read(record.NOTE))["converged"] == "2026-01-02T00:00:00+00:00"


def test_berths_version_stands_in_two_places_and_is_one() -> None:
    assert berth_cli.__version__ == berth_hub.__version__


def test_a_release_is_closed_to_all_but_root(host: Host) -> None:
    release = releases.keep(host.root)
    assert stat.S_IMODE(release.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(release.folder.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in release.folder.iterdir() if path.name != "release.json"} == {
        0o600
    }
