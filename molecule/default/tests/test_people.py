"""People as an operator adds and removes them with the playbook: a class from a CSV file, and nothing left behind."""

import json
from pathlib import Path

import converging
import requests
from hub_client import HubClient, wait_until
from testinfra.host import Host

FIRST = "made-up-before-1"
HEADER = "\ufeffname,password,groups,admin\r\n"

DATABASE = """
import json, sqlite3, sys
database = sqlite3.connect("file:/var/lib/berth/hub/jupyterhub.sqlite?mode=ro", uri=True)
tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
print(json.dumps([t for t in tables for row in database.execute(f'select * from "{t}"') if sys.argv[1] in str(row)]))
"""


def everybody(hub: HubClient) -> dict[str, dict[str, object]]:
    return {user["name"]: user for user in hub.add_users()["users"]}


def at_hub(hub: HubClient, path: str) -> bool:
    """Whether a path of somebody's server leads to the hub, as it does when no such server runs."""
    answer = hub.session.get(hub.url + path, timeout=10, allow_redirects=False)
    return answer.headers.get("Location", "").endswith(f"/hub{path}")


def image(host: Host) -> str:
    found: str = json.loads(host.check_output("cat /etc/berth/hub.json"))["berth"]["image"]
    return found


def mentions(host: Host, name: str) -> list[str]:
    """The tables of the hub's database that a name is in."""
    found: list[str] = json.loads(host.check_output("python3 -c %s %s", DATABASE, name))
    return found


def test_a_bad_line_is_named_and_nobody_is_added(hub: HubClient, tmp_path: Path) -> None:
    before = everybody(hub)
    file, passwords = tmp_path / "class.csv", tmp_path / "passwords.csv"
    for line, message in (
        ("../x,,,", "class.csv line 3: user name '../x' holds a"),
        ("dora,short,,", "class.csv line 3: a password has at least 10 characters"),
        ("dora,,,maybe", "class.csv line 3: admin is 'maybe': use yes, no or nothing"),
    ):
        file.write_bytes(f"{HEADER}carl,,,\r\n{line}\r\n".encode())
        variables = {"jupyterhub_users_csv": str(file), "jupyterhub_users_passwords_to": str(passwords)}
        assert message in converging.refusal(playbook="users", variables=variables)
    assert everybody(hub).keys() == before.keys()
    assert not passwords.exists()


def test_a_class_comes_and_leaves_nothing_behind(host: Host, hub: HubClient, tmp_path: Path) -> None:
    file, passwords = tmp_path / "class.csv", tmp_path / "passwords.csv"
    file.write_bytes(
        f'{HEADER}finn,,,\r\ndora,,students; lab,\r\n"Emil","a password, of his own",students,yes\r\n'.encode()
    )
    # As if the hub had been lost after the first of them was added.
    part = tmp_path / "passwords.csv.part"
    part.write_text(f"name,password\nfinn,{FIRST}\n")
    hub.add_users({"name": "finn", "password": FIRST})
    variables = {"jupyterhub_users_csv": str(file), "jupyterhub_users_passwords_to": str(passwords)}
    done = converging.converge(playbook="users", variables=variables)
    header, first, (name, password) = [line.split(",") for line in passwords.read_text().splitlines()]
    assert (header, first, name) == (["name", "password"], ["finn", FIRST], "dora")
    assert not part.exists()
    assert passwords.stat().st_mode & 0o777 == 0o600
    assert password not in done.stdout
    assert "of his own" not in done.stdout
    people = everybody(hub)
    assert people["dora"]["groups"] == ["lab", "students"]
    assert people["emil"]["admin"] is True
    # The same file again: who is there stays, and passwords that are written already are never overwritten.
    assert "must be a new file" in converging.refusal(playbook="users", variables=variables)

    hub.start("dora")
    token = hub.token("dora")
    assert "users" in mentions(host, "dora")
    assert host.run("docker inspect berth-dora").succeeded
    # One that the hub has lost sight of, as after a crash.
    lost = "docker create --network berth --name berth-dora-lost --label berth.home=dora"
    host.check_output(f"{lost} %s true", image(host))
    gone = {"jupyterhub_users_wanted": [{"name": name, "state": "absent"} for name in ("dora", "emil", "finn")]}
    assert converging.changes(converging.converge(playbook="users", variables=gone)) == 1
    assert host.check_output("docker ps --all --quiet --filter label=berth.home=dora") == ""
    assert host.run("docker inspect berth-dora").failed
    assert "dora" not in host.file("/var/lib/berth/routes/hub.yaml").content_string
    assert mentions(host, "dora") == []
    answer = requests.get(
        f"{hub.url}/hub/api/user", headers={"Authorization": f"token {token}"}, verify=hub.ca, timeout=30
    )
    assert answer.status_code == requests.codes.forbidden
    # The route is gone: the hub itself answers for it.
    wait_until(lambda: at_hub(hub, "/user/dora/api"))
    # The home stays until it is said otherwise, also when the account is gone already.
    assert host.file("/srv/berth/homes/dora").is_directory
    # In the same run somebody gets a made-up password, after a run of which the hub was lost when it had added gina.
    hub.add_users({"name": "gina", "password": FIRST})
    names = tmp_path / "names.csv"
    names.with_name("names.csv.part").write_text(f"name,password\ngina,{FIRST}\n")
    made_up = {"password": "made-up-again-2", "generated": True}
    again = {
        "jupyterhub_users_wanted": [
            {"name": "dora", "state": "absent", "delete_home": True},
            *({"name": name, **made_up} for name in ("gina", "hugo")),
        ],
        "jupyterhub_users_passwords_to": str(names),
    }
    converging.converge(playbook="users", variables=again)
    assert not host.file("/srv/berth/homes/dora").exists
    assert names.read_text().splitlines() == ["name,password", f"gina,{FIRST}", "hugo,made-up-again-2"]
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []
    hub.add_users(*({"name": name, "state": "absent"} for name in ("gina", "hugo")))
