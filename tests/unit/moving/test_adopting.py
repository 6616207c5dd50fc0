"""Who there is in a TLJH, and in a hub with volumes, as their own software has left them; who comes, and who cannot."""

from __future__ import annotations

import dbm.dumb
import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import bcrypt
import pytest
from berth_moving import __main__ as program
from berth_moving import adopting, placing
from berth_moving.contents import MovingError
from dockerspawner import DockerSpawner
from jupyterhub import orm
from nativeauthenticator.orm import Base, UserInfo
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from tests.unit.scripts import load

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = b"an old password"
HASH = bcrypt.hashpw(PASSWORD, bcrypt.gensalt(12))
TODAY = "2026-01-31"


def make_hub(database: Path, users: dict[str, bool], groups: dict[str, list[str]] | None = None) -> str:
    """A database of the real JupyterHub's; returns its address."""
    database.parent.mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{database}"
    orm.new_session_factory(address)().close()
    with Session(create_engine(address)) as session:
        people = {name: orm.User(name=name, admin=admin) for name, admin in users.items()}
        session.add_all(people.values())
        for group, names in (groups or {}).items():
            session.add(orm.Group(name=group, users=[people[name] for name in names]))
        session.commit()
    return address


def add_passwords(address: str, *rows: tuple[str, bytes, bool]) -> None:
    """What NativeAuthenticator keeps."""
    engine = create_engine(address)
    Base.metadata.create_all(engine, tables=[UserInfo.__table__])
    with Session(engine) as session:
        session.add_all(UserInfo(username=name, password=kept, is_authorized=known) for name, kept, known in rows)
        session.commit()


@pytest.fixture
def tljh(tmp_path: Path) -> Path:
    """A Littlest JupyterHub."""
    state = tmp_path / "opt" / "tljh" / "state"
    make_hub(state / "jupyterhub.sqlite", {"anna": False, "boss": True, "gone": False}, {"lab": ["anna", "boss"]})
    with dbm.dumb.open(str(state / "passwords.dbm"), "c", 0o600) as kept:
        kept["anna"] = HASH
        kept["boss"] = HASH
    for name in ("jupyter-anna", "jupyter-boss", "jupyter-stray", "jupyter-gone", "other"):
        (tmp_path / "home" / name).mkdir(parents=True)
    (tmp_path / "home" / "jupyter-anna" / "file").write_bytes(b"x" * 5000)
    return tmp_path


CONFIG = {"users": {"allowed": ["anna", "Dora"], "admin": ["anna"], "banned": ["gone"]}}


def test_everybody_of_a_tljh_is_found(tljh: Path) -> None:
    before = contents(tljh)
    found = adopting.tljh(tljh, CONFIG)
    people = {one.name: one for one in found.people}
    assert list(people) == ["anna", "boss", "dora"]
    assert {name: (one.admin, one.groups) for name, one in people.items()} == {
        "anna": (True, ["lab"]),
        "boss": (True, ["lab"]),
        "dora": (False, []),
    }
    assert people["anna"].home == tljh / "home" / "jupyter-anna"
    assert people["dora"].home is None
    assert bcrypt.checkpw(PASSWORD, found.hashes()["anna"].encode())
    assert [Path(one).name for one in found.strays] == ["jupyter-gone", "jupyter-stray"]
    assert contents(tljh) == before, "it is only read"


def contents(folder: Path) -> dict[Path, Any]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in folder.rglob("*")
    }


def test_a_tljh_with_accounts_of_native_authenticator_and_without_a_configuration(tljh: Path) -> None:
    add_passwords(f"sqlite:///{tljh}/opt/tljh/state/jupyterhub.sqlite", ("gone", b"$2b$12$other", True))
    found = adopting.tljh(tljh, {})
    assert [one.name for one in found.people] == ["anna", "boss", "gone"]
    assert found.hashes()["gone"] == "$2b$12$other"


def test_passwords_that_cannot_be_read_are_said(tljh: Path) -> None:
    for file in (tljh / "opt/tljh/state").glob("passwords.dbm*"):
        file.unlink()
    (tljh / "opt/tljh/state/passwords.dbm").write_bytes(b"no database at all, of any kind")
    with pytest.raises(MovingError, match=r"passwords\.dbm .* cannot be read"):
        adopting.tljh(tljh, CONFIG).hashes()


@pytest.mark.parametrize(("module", "needs"), [(None, ["python3-gdbm"]), ("there", [])])
def test_what_reads_the_passwords_of_most_of_them_is_asked_for(
    tljh: Path, monkeypatch: pytest.MonkeyPatch, module: str | None, needs: list[str]
) -> None:
    for file in (tljh / "opt/tljh/state").glob("passwords.dbm*"):
        file.unlink()
    # As GNU's library begins a file.
    (tljh / "opt/tljh/state/passwords.dbm").write_bytes((0x13579ACE).to_bytes(4, sys.byteorder) + bytes(100))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: module)
    assert adopting.tljh(tljh, CONFIG).needs == needs


def test_long_names_are_those_of_the_host() -> None:
    # As tljh.normalize makes them.
    assert adopting.system_name("anna") == "jupyter-anna"
    assert adopting.system_name("a" * 17) == "jupyter-" + "a" * 17
    assert adopting.system_name("a" * 18) == "jupyter-" + "a" * 18 + "-3f1e4"


@pytest.mark.parametrize("name", ["anna", "anna-b", "anna.b@example.org", "Ünal", "a_b"])
def test_volumes_are_called_as_dockerspawner_calls_them(name: str) -> None:
    assert adopting.escapes(name)[:2] == [DockerSpawner._escape(name), DockerSpawner._legacy_escape(name)]


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """A copy of an engine's folder of volumes."""
    data = tmp_path / "volumes" / "site_jupyterhub-data" / "_data"
    address = make_hub(data / "jupyterhub.sqlite", {"admin": True, "anna.b": False, "waits": False})
    add_passwords(address, ("admin", HASH, True), ("anna.b", HASH, True), ("new", HASH, True), ("waits", HASH, False))
    for name in ("admin", "anna-2eb", "stray"):
        (tmp_path / "volumes" / f"jupyterhub-user-{name}" / "_data").mkdir(parents=True)
    (tmp_path / "volumes" / "metadata.db").touch()
    return tmp_path / "volumes"


def test_everybody_of_a_hub_with_volumes_is_found(volumes: Path) -> None:
    found = adopting.deploy_docker(adopting.copied_volumes(volumes))
    assert {one.name: (one.admin, one.home, one.place) for one in found.people} == {
        "admin": (True, volumes / "jupyterhub-user-admin/_data", "work"),
        "anna.b": (False, volumes / "jupyterhub-user-anna-2eb/_data", "work"),
        "new": (False, None, "work"),
    }
    assert found.strays == ["jupyterhub-user-stray"]
    assert found.hashes()["anna.b"] == HASH.decode()


def test_which_volume_has_the_database_must_be_clear(volumes: Path) -> None:
    (volumes / "jupyterhub-data").mkdir()
    with pytest.raises(MovingError, match="adopt_data_volume"):
        adopting.deploy_docker(adopting.copied_volumes(volumes))
    found = adopting.deploy_docker(adopting.copied_volumes(volumes), "site_jupyterhub-data")
    assert len(found.people) == 3
    with pytest.raises(MovingError, match="there is none"):
        adopting.deploy_docker(adopting.copied_volumes(volumes), "other")


def test_what_is_no_hub_is_said(tmp_path: Path) -> None:
    with pytest.raises(MovingError, match=r"there is no database .*jupyterhub\.sqlite"):
        adopting.tljh(tmp_path, {})
    (tmp_path / "opt/tljh/state").mkdir(parents=True)
    (tmp_path / "opt/tljh/state/jupyterhub.sqlite").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(MovingError, match="cannot be read"):
        adopting.tljh(tmp_path, {})


def test_the_program_tells_it_to_the_playbook(tljh: Path) -> None:
    program = [sys.executable, "-m", "berth_moving"]
    done = subprocess.run(
        [*program, "hashes", "tljh", str(tljh), ""],
        input=json.dumps(CONFIG),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "roles" / "user_homes" / "files",
    )
    assert json.loads(done.stdout) == {"anna": HASH.decode(), "boss": HASH.decode()}


def filters() -> Any:
    return load(ROOT / "roles/adopt/filter_plugins/berth_adoption.py")


class TestPlan:
    """Who comes: with what is here, and what was brought before."""

    ANNA: ClassVar[dict[str, Any]] = {
        "name": "anna",
        "admin": True,
        "groups": ["lab"],
        "home": "/home/jupyter-anna",
        "place": "",
        "files": 1,
        "bytes": 4096,
        "home_there": False,
    }

    def plan(self, *names: str, noted: Any = None, existing: str = "refuse", only: Any = (), **anna: Any) -> Any:
        looked = {"people": [{**self.ANNA, **anna}], "noted": noted or {"homes": [], "accounts": []}}
        hub = {"users": [{"name": name} for name in names], "groups_elsewhere": False}
        return filters().berth_adoption(looked, hub, only, existing, TODAY)

    def test_who_is_new_comes_with_everything(self) -> None:
        plan = self.plan("admin")
        assert plan["homes"] == [
            {"name": "anna", "home": "/home/jupyter-anna", "place": "", "files": 1, "bytes": 4096, "folder": ""}
        ]
        assert plan["accounts"] == [{"name": "anna", "groups": ["lab"], "admin": True}]
        assert not plan["clashes"]

    def test_who_has_no_home_comes_without(self) -> None:
        assert self.plan(home="")["homes"] == []
        assert self.plan(home="")["accounts"][0]["name"] == "anna"

    @pytest.mark.parametrize(("names", "there"), [(("anna",), False), ((), True), (("anna",), True)])
    def test_others_of_that_name_are_a_clash(self, names: tuple[str, ...], *, there: bool) -> None:
        plan = self.plan(*names, home_there=there)
        assert (plan["clashes"], plan["homes"], plan["accounts"]) == (["anna"], [], [])
        plan = self.plan(*names, home_there=there, existing="skip")
        assert (plan["clashes"], plan["left_out"], plan["homes"]) == ([], ["anna"], [])
        plan = self.plan(*names, home_there=there, existing="into")
        assert not plan["clashes"]
        assert [one["folder"] for one in plan["homes"]] == [f"adopted-{TODAY}" if there else ""]
        assert bool(plan["accounts"]) == (not names)

    def test_what_was_brought_is_not_brought_again(self) -> None:
        both = {"homes": ["anna"], "accounts": ["anna"]}
        plan = self.plan("anna", home_there=True, noted=both)
        assert (plan["done"], plan["homes"], plan["accounts"], plan["clashes"]) == (["anna"], [], [], [])

    def test_what_is_missing_is_brought(self) -> None:
        plan = self.plan(home_there=True, noted={"homes": ["anna"], "accounts": []})
        assert (plan["homes"], [one["name"] for one in plan["accounts"]], plan["clashes"]) == ([], ["anna"], [])
        plan = self.plan("anna", noted={"homes": [], "accounts": ["anna"]})
        assert ([one["name"] for one in plan["homes"]], plan["accounts"], plan["clashes"]) == (["anna"], [], [])

    def test_who_is_not_there_is_said(self) -> None:
        assert self.plan(only=["zoe"])["problems"] == ["there is no zoe there"]
        assert self.plan(only=["zoe"])["homes"] == []

    def test_passwords_come_along_or_are_made_up(self) -> None:
        plan = {"accounts": [{"name": "anna"}, {"name": "bert"}, {"name": "carl"}]}
        kept = {"anna": HASH.decode(), "bert": bcrypt.hashpw(PASSWORD, bcrypt.gensalt(4)).decode()}
        made = filters().berth_adopted(plan, kept, ours=True)
        assert made[0] == {"name": "anna", "password_hash": HASH.decode()}
        assert {one["name"] for one in made if one.get("generated") and len(one["password"]) == 19} == {"bert", "carl"}
        assert filters().berth_without_password(plan, kept) == ["bert", "carl"]
        assert filters().berth_adopted(plan, kept, ours=False) == plan["accounts"]


def test_what_was_brought_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopting, "NOTE", tmp_path / "adopted.json")
    assert adopting.noted("tljh:") == {"homes": [], "accounts": []}
    adopting.note("tljh:", "homes", ["bert"])
    adopting.note("tljh:", "homes", ["anna"])
    adopting.note("tljh:", "accounts", ["anna"])
    adopting.note("tljh:/copy", "homes", ["zoe"])
    assert adopting.noted("tljh:") == {"homes": ["anna", "bert"], "accounts": ["anna"]}


@pytest.mark.parametrize("folder", ["", "adopted-1"])
def test_what_could_not_be_put_in_its_place_is_not_taken_for_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    homes, origin = tmp_path / "homes", tmp_path / "jupyter-anna"
    for path in (homes, origin):
        path.mkdir()
    (origin / "file").write_text("hers")
    monkeypatch.setattr(adopting, "NOTE", tmp_path / "adopted.json")
    monkeypatch.setattr(placing, "HOMES", homes)
    monkeypatch.setattr(placing, "as_nobody_else", lambda target, *_: ["env", f"--chdir={target}"])
    owner, works = f"{os.getuid()}:{os.getgid()}", placing.put

    def adopt() -> dict[str, Any]:
        told = {"name": "anna", "home": str(origin), "place": "", "folder": folder}
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(told)))
        return program.adopt("tljh:", owner)

    def full(*_: object) -> str:
        raise MovingError("the home could not be unpacked: Disk quota exceeded")

    monkeypatch.setattr(placing, "put", full)
    with pytest.raises(MovingError, match="quota"):
        adopt()
    assert adopting.noted("tljh:")["homes"] == []
    assert list(homes.iterdir()) == []
    monkeypatch.setattr(placing, "put", works)
    if folder:
        (homes / "anna").mkdir()
    assert adopt() == {"folder": folder, "changed_meanwhile": 0}
    assert adopting.noted("tljh:")["homes"] == ["anna"]
    assert (homes / "anna" / folder / "file").read_text() == "hers"
