"""People move in: from another Berth, as files, and from other kinds of hubs. The tests build on one another."""

import dbm.dumb
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from conftest import PASSWORD, PLATFORM
from converging import refusal, report
from host_program import HOMES, OnHost
from hub_client import HubClient
from jupyterhub import orm
from nativeauthenticator.orm import Base, UserInfo
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from testinfra.host import Host

OLD_PASSWORD = "what it was over there"
HASH = bcrypt.hashpw(OLD_PASSWORD.encode(), bcrypt.gensalt(12))


@pytest.fixture(scope="module")
def on_host(host: Host) -> OnHost:
    return OnHost(host)


@pytest.fixture(scope="module")
def anna(host: Host, hub: HubClient, on_host: OnHost) -> Iterator[dict[str, Any]]:
    """A user with a running server and files of many kinds; what they are."""
    hub.add_users({"name": "anna", "password": PASSWORD, "groups": ["lab"], "admin": True})
    hub.start("anna")
    on_host.run("make", f"{HOMES}/anna/kept")
    yield on_host.tell(f"{HOMES}/anna/kept")
    hub.add_users({"name": "anna", "state": "absent"}, {"name": "anna2", "state": "absent"})
    host.check_output(f"rm -rf {HOMES}/anna {HOMES}/anna2")


@pytest.fixture(scope="module")
def exported(hub: HubClient, anna: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Her archive, made after her server was stopped."""
    asked = {"user_export_names": ["anna"], "user_export_to": str(tmp_path_factory.mktemp("exported"))}
    said = refusal(variables=asked, playbook="export")
    assert "a server of anna runs" in said
    assert "--stop" in said
    found: dict[str, Any] = report({**asked, "user_export_servers": "stop"}, playbook="export")["exported"][0]
    assert hub.server("anna") is None
    return found


def test_an_export_is_a_file_of_its_owners_alone(host: Host, exported: dict[str, Any]) -> None:
    file = Path(exported["file"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert exported["files"] > 300
    assert host.run(f"ls -d {HOMES}/.moving-*").rc != 0


def test_who_is_there_is_not_replaced(exported: dict[str, Any]) -> None:
    said = refusal(variables={"user_import_file": exported["file"]}, playbook="import")
    assert "anna has an account and a home here" in said
    assert "--into-existing" in said


def test_a_home_and_an_account_move_in(
    host: Host, hub: HubClient, on_host: OnHost, anna: dict[str, Any], exported: dict[str, Any]
) -> None:
    told = report({"user_import_file": exported["file"], "user_import_as": "anna2"}, playbook="import")
    assert (told["account"], told["password"], told["admin"], told["groups"]) == ("made", "same", True, ["lab"])
    assert on_host.tell(f"{HOMES}/anna2/kept") == anna
    assert hub.logs_in("anna2", PASSWORD)
    found = next(one for one in hub.add_users()["users"] if one["name"] == "anna2")
    assert (found["admin"], found["groups"]) == (True, ["lab"])
    assert host.run(f"ls -d {HOMES}/.moving-*").rc != 0


def test_into_who_is_there_it_is_a_folder(
    host: Host, hub: HubClient, on_host: OnHost, anna: dict[str, Any], exported: dict[str, Any]
) -> None:
    host.check_output(f"echo new >{HOMES}/anna/kept/script.sh")
    asked = {"user_import_file": exported["file"], "user_import_into_existing": True}
    told = report(asked, playbook="import")
    assert (told["account"], told["folder"][:9]) == ("kept", "imported-")
    assert on_host.tell(f"{HOMES}/anna/{told['folder']}/kept") == anna
    assert host.check_output(f"cat {HOMES}/anna/kept/script.sh") == "new"
    assert hub.logs_in("anna", PASSWORD)


def test_who_unpacks_reaches_no_other_home(host: Host, anna: dict[str, Any]) -> None:
    host.check_output(f"mkdir -p /root/target && chown 1000:1000 /root/target && ls {HOMES}/anna/kept")
    program = (
        "import subprocess, sys; from pathlib import Path; from berth_moving.placing import as_nobody_else; "
        "subprocess.run([*as_nobody_else(Path('/root/target'), 1000, 1000), 'sh', '-c', sys.argv[1]])"
    )
    looks = (
        f"id -u; touch mine; ls -A /srv/berth; ls {HOMES} /root; touch /tmp/x /opt/berth/x; mknod d c 1 3;"
        " cp /bin/sh sh; chmod u+s sh; grep -c . /proc/net/dev; cat /etc/berth/secrets/*"
    )
    done = host.run("cd / && PYTHONPATH=/opt/berth/lib python3 -c %s %s", program, looks)
    assert done.stdout.split()[:2] == ["1000", "home"]
    for refused in (HOMES, "/root", "/opt/berth/x", "d:", "permissions of 'sh'", "secrets"):
        assert refused in done.stderr, (refused, done.stderr)
    assert sorted(host.check_output("ls /root/target").split()) == ["mine", "sh"]
    host.check_output("rm -r /root/target")


class TestAdopt:
    """People of other kinds of hubs move in; what those leave behind stays as it is."""

    COPY = "/srv/copy"

    @pytest.fixture
    def tljh(self, host: Host, on_host: OnHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
        """A Littlest JupyterHub, copied to the host: people's files there, and a checksum of all of it."""
        made = tmp_path_factory.mktemp("tljh")
        state, config = made / "opt" / "tljh" / "state", made / "opt" / "tljh" / "config"
        config.mkdir(parents=True)
        (config / "config.yaml").write_text("users: {admin: [greta], allowed: [hans, inge], banned: [mallory]}\n")
        other_hub(state / "jupyterhub.sqlite", {"greta": True, "hans": False, "mallory": False})
        with dbm.dumb.open(str(state / "passwords.dbm"), "c", 0o600) as kept:
            for name in ("greta", "hans", "mallory"):
                kept[name] = HASH
        host.check_output(f"mkdir -p {self.COPY}/home/jupyter-greta {self.COPY}/home/jupyter-hans")
        subprocess.run(["docker", "cp", "-q", f"{made}/opt", f"{PLATFORM}:{self.COPY}/opt"], check=True)
        on_host.run("make", f"{self.COPY}/home/jupyter-greta/kept")
        host.check_output(f"chown -R 1234:1234 {self.COPY}/home/jupyter-greta")
        yield {"files": on_host.tell(f"{self.COPY}/home/jupyter-greta/kept"), "all": on_host.tell(self.COPY)}
        host.check_output(f"rm -r {self.COPY}; rm -f /var/lib/berth/adopted.json")

    def test_a_littlest_jupyterhub(
        self, host: Host, hub: HubClient, on_host: OnHost, tljh: dict[str, Any], tmp_path: Path
    ) -> None:
        hub.add_users({"name": "hans", "password": PASSWORD})
        asked = {"adopt_kind": "tljh", "adopt_from": self.COPY, "adopt_passwords_to": str(tmp_path / "passwords.csv")}
        said = refusal(variables=asked, playbook="adopt")
        assert "hans has an account or a home here already" in said
        assert "--skip-existing" in said
        told = report({**asked, "adopt_existing": "skip"}, playbook="adopt")
        assert ([one["name"] for one in told["homes"]], told["left_out"]) == (["greta"], ["hans"])
        assert told["new_passwords"] == ["inge"]
        there = on_host.tell(f"{HOMES}/greta/kept")
        assert {one[1] for one in there.values()} == {1000}
        assert without_owners(there) == without_owners(tljh["files"])
        assert hub.logs_in("greta", OLD_PASSWORD)
        assert hub.logs_in("hans", PASSWORD)
        assert not hub.logs_in("hans", OLD_PASSWORD)
        _, inge = (tmp_path / "passwords.csv").read_text().split()
        assert hub.logs_in(*inge.split(","))
        assert on_host.tell(self.COPY) == tljh["all"], "it is only read"
        found = {one["name"]: one["admin"] for one in hub.add_users()["users"]}
        assert found["greta"] is True
        assert "mallory" not in found
        hub.add_users(*({"name": name, "state": "absent"} for name in ("greta", "hans", "inge")))
        host.check_output(f"rm -r {HOMES}/greta")

    def test_a_hub_with_a_volume_for_each_user(
        self, host: Host, hub: HubClient, on_host: OnHost, tmp_path: Path
    ) -> None:
        address = other_hub(tmp_path / "jupyterhub.sqlite", {"jan.k": False})
        engine = create_engine(address)
        Base.metadata.create_all(engine, tables=[UserInfo.__table__])
        with Session(engine) as session:
            session.add(UserInfo(username="jan.k", password=HASH, is_authorized=True))
            session.commit()
        volumes = ("site_jupyterhub-data", "jupyterhub-user-jan-2ek")
        data, home = (
            host.check_output(
                f"docker volume create {name} >/dev/null && docker volume inspect --format '{{{{.Mountpoint}}}}' {name}"
            )
            for name in volumes
        )
        try:
            subprocess.run(
                ["docker", "cp", "-q", str(tmp_path / "jupyterhub.sqlite"), f"{PLATFORM}:{data}/"], check=True
            )
            on_host.run("make", f"{home}/kept")
            told = report({"adopt_kind": "deploy-docker"}, playbook="adopt")
            assert ([one["name"] for one in told["homes"]], told["new_passwords"]) == (["jan.k"], [])
            assert on_host.tell(f"{HOMES}/jan.k/work/kept") == on_host.tell(f"{home}/kept")
            assert hub.logs_in("jan.k", OLD_PASSWORD)
            hub.start("jan.k")
            assert hub.as_user("jan.k", "GET", "/api/contents/work/kept/script.sh").ok
        finally:
            hub.add_users({"name": "jan.k", "state": "absent"})
            host.check_output(f"docker volume rm {' '.join(volumes)}; rm -rf {HOMES}/jan.k /var/lib/berth/adopted.json")


def other_hub(database: Path, users: dict[str, bool]) -> str:
    """A database of the real JupyterHub's; returns its address."""
    database.parent.mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{database}"
    orm.new_session_factory(address)().close()
    with Session(create_engine(address)) as session:
        session.add_all(orm.User(name=name, admin=admin) for name, admin in users.items())
        session.commit()
    return address


def without_owners(files: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: [one[0], *one[3:]] for name, one in files.items()}
