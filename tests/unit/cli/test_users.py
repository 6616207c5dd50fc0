"""``berth users``: what it asks the playbook for, what it makes of the answer, and what it refuses before."""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING

import pytest

from berth_cli.accounts import as_known, as_meant, check_names, in_lower_case, new_password
from berth_cli.app import main
from berth_cli.errors import BerthError
from berth_cli.runner import Report

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

USERS_PLAYBOOK = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Change the users
      ansible.builtin.command:
        argv: ["{{ ansible_playbook_python }}", "{{ playbook_dir }}/users.py"]
        stdin: "{{ jupyterhub_users_wanted | to_json }}"
      environment:
        PASSWORDS_TO: "{{ jupyterhub_users_passwords_to | default('') }}"
      register: said
      no_log: true
    - name: Report
      ansible.builtin.debug:
        msg: "{{ said.stdout | from_json }}"
"""

# Stands for the role: keeps users in a file, and creates, changes and removes as the role does. With a file "dies"
# beside it, it ends before it has handed out the passwords that it has written down.
USERS_PROGRAM = """
import json, os, pathlib, sys
file = pathlib.Path(__file__).with_name("users.json")
users = json.loads(file.read_text()) if file.exists() else {}
waiting_file = file.with_name("waiting.json")
waiting = json.loads(waiting_file.read_text()) if waiting_file.exists() else []
wanted_ones = [dict(wanted, name=wanted["name"].lower()) for wanted in json.load(sys.stdin)]
passwords_to = os.environ["PASSWORDS_TO"]
part = pathlib.Path(passwords_to + ".part")
lines = part.read_text().splitlines() if passwords_to and part.exists() else ["name,password"]
made_up = [w for w in wanted_ones if w.get("generated") and "password" not in users.get(w["name"], {})]
lines += [line for line in (f"{w['name']},{w['password']}" for w in made_up) if line not in lines]
if passwords_to and len(lines) > 1:
    part.touch(mode=0o600)
    part.write_text("".join(f"{line}\\n" for line in lines))
done = {key: [] for key in ("created", "removed", "unlocked", "passwords_set", "changed", "homes_deleted")}
for wanted in wanted_ones:
    name, before = wanted["name"], users.get(wanted["name"])
    state = wanted["state"]
    if state in ("approved", "refused"):
        waiting.remove(name)
        done["changed"].append(name)
        if state == "approved":
            users[name] = {"password": "chosen", "admin": False, "groups": wanted["groups"]}
    elif state == "absent":
        if users.pop(name, None):
            done["removed"].append(name)
            done["changed"].append(name)
        elif wanted["delete_home"] and name == "gone":
            done["homes_deleted"].append(name)
    elif before is None or "password" not in before:
        if before is not None:
            users[name] = dict(before, password=wanted["password"])
            done["passwords_set"].append(name)
            continue
        users[name] = {"password": wanted["password"], "admin": wanted.get("admin", False)}
        if wanted.get("groups"):
            users[name]["groups"] = wanted["groups"]
        done["created"].append(name)
        done["passwords_set"].append(name)
        done["changed"].append(name)
    else:
        after = dict(before, admin=wanted.get("admin", before["admin"]))
        groups = (set(before.get("groups", [])) | set(wanted.get("groups", []))) - set(wanted.get("groups_absent", []))
        if groups or "groups" in before:
            after["groups"] = sorted(groups)
        if wanted.get("update_password") == "always":
            after["password"] = wanted["password"]
            done["passwords_set"].append(name)
        if wanted.get("unlock") and after.pop("locked_until", None):
            done["unlocked"].append(name)
        if after != before:
            users[name] = after
            done["changed"].append(name)
file.write_text(json.dumps(users))
waiting_file.write_text(json.dumps(waiting))
if file.with_name("dies").exists():
    sys.exit("the hub did not answer to the end")
if passwords_to and part.exists():
    part.rename(passwords_to)
listed = [{"name": n, "admin": u["admin"], "servers": 0, "last_activity": None, "created": "2026-01-02T03:04:05Z",
           "groups": u.get("groups", []), "locked_until": u.get("locked_until")}
          for n, u in sorted(users.items())]
asking = [{"name": n, "note": "[hi]", "address": "192.0.2.1", "since": "2026-01-02T03:04:05+00:00"} for n in waiting]
groups = sorted({g for u in users.values() for g in u.get("groups", [])})
print(json.dumps({"users": listed, "waiting": asking, "groups": groups,
                  "passwords": not file.with_name("ldap").exists(), **done}))
"""


@pytest.fixture
def hub(checkout: Checkout) -> Checkout:
    checkout.write("playbooks/users.yml", USERS_PLAYBOOK)
    checkout.write("playbooks/users.py", USERS_PROGRAM)
    return checkout


def stored(hub: Checkout) -> dict[str, dict[str, object]]:
    users: dict[str, dict[str, object]] = json.loads(
        (hub.root / "playbooks" / "users.json").read_text(encoding="utf-8")
    )
    return users


def store(hub: Checkout, **users: dict[str, object]) -> None:
    hub.write("playbooks/users.json", json.dumps(users))


def made_up(output: str) -> dict[str, str]:
    """The passwords that a command has shown."""
    return dict(re.findall(r"^  (\S+)  (\S+)$", output, re.MULTILINE))


def test_added_users_get_passwords_that_are_shown_once_and_others_stay(hub: Checkout) -> None:
    first = hub.run("users", "add", "Anna", "--admin")
    assert first.returncode == 0, first.stderr
    assert "anna added." in first.stdout
    password = made_up(first.stdout)["anna"]
    assert stored(hub) == {"anna": {"password": password, "admin": True}}

    second = hub.run("users", "add", "anna", "bert")
    assert second.returncode == 0, second.stderr
    assert "anna exists already and stays as it is." in second.stdout
    assert list(made_up(second.stdout)) == ["bert"]
    assert stored(hub)["anna"] == {"password": password, "admin": True}
    assert stored(hub)["bert"]["admin"] is False

    listed = hub.run("users", "list", "--json")
    assert [user["name"] for user in json.loads(listed.stdout)["one"]] == ["anna", "bert"]


def test_who_exists_is_added_to_groups_and_keeps_the_password(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": True})
    result = hub.run("users", "add", "anna", "bert", "-g", "lab", "--group", "students")
    assert result.returncode == 0, result.stderr
    assert "anna exists already and changed; the password stays." in result.stdout
    assert stored(hub)["anna"] == {"password": "old", "admin": True, "groups": ["lab", "students"]}
    assert stored(hub)["bert"]["groups"] == ["lab", "students"]


def test_given_passwords_are_taken_and_not_shown(hub: Checkout) -> None:
    result = hub.run("users", "add", "anna", "bert", "--password-stdin", given="eins\nzwei drei\n")
    assert result.returncode == 0, result.stderr
    assert {name: user["password"] for name, user in stored(hub).items()} == {"anna": "eins", "bert": "zwei drei"}
    assert "eins" not in result.stdout
    result = hub.run("users", "add", "carl", "--password-stdin", given="eins\nzwei\n")
    assert result.returncode == 2
    assert "2 lines" in result.stderr


def test_passwords_go_to_a_new_file_that_only_the_operator_reads(hub: Checkout) -> None:
    target = hub.base / "passwords.csv"
    result = hub.run("users", "add", "anna", "bert", "--passwords-to", str(target))
    assert result.returncode == 0, result.stderr
    lines = target.read_text(encoding="utf-8").splitlines()
    assert lines == ["name,password", *(f"{name},{user['password']}" for name, user in stored(hub).items())]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert made_up(result.stdout) == {}
    again = hub.run("users", "add", "carl", "--passwords-to", str(target))
    assert again.returncode == 2
    assert "never overwritten" in again.stderr
    assert "carl" not in stored(hub)
    nowhere = hub.run("users", "add", "carl", "--passwords-to", str(hub.base / "missing" / "file"))
    assert "is no directory" in nowhere.stderr
    assert "carl" not in stored(hub)


def test_passwords_outlive_a_hub_that_dies_in_the_middle(hub: Checkout) -> None:
    store(hub, carl={"password": "old", "admin": False})
    hub.write("playbooks/dies", "")
    failed = hub.run("users", "add", "anna", "carl")
    assert failed.returncode != 0
    password = stored(hub)["anna"]["password"]
    assert isinstance(password, str)
    assert password not in failed.stdout + failed.stderr
    (hub.root / "playbooks" / "dies").unlink()
    again = hub.run("users", "add", "carl", "anna")
    assert again.returncode == 0, again.stderr
    assert made_up(again.stdout) == {"anna": password}
    assert stored(hub)["carl"]["password"] == "old"
    # Shown once, and nowhere any more.
    assert made_up(hub.run("users", "add", "anna", "carl").stdout) == {}
    assert [file for file in (hub.base / "state").rglob("*") if file.is_file() and password in file.read_text()] == []


def test_who_was_left_without_a_password_has_got_one(hub: Checkout) -> None:
    store(hub, anna={"admin": False})
    result = hub.run("users", "add", "anna")
    assert "anna exists already, and has got the password that was missing." in result.stdout
    assert stored(hub)["anna"]["password"] == made_up(result.stdout)["anna"]


def test_nothing_is_written_where_nothing_was_made_up(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": False})
    target = hub.base / "passwords.csv"
    result = hub.run("users", "add", "anna", "--passwords-to", str(target))
    assert result.returncode == 0, result.stderr
    assert f"No password had to be made up: {target} was not written." in result.stdout
    assert not target.exists()


def test_a_new_password_is_for_those_who_exist(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": True})
    refused = hub.run("users", "password", "bert")
    assert refused.returncode == 2
    assert 'there is no user "bert"' in refused.stderr
    assert list(stored(hub)) == ["anna"]
    result = hub.run("users", "password", "anna")
    assert stored(hub) == {"anna": {"password": made_up(result.stdout)["anna"], "admin": True}}
    result = hub.run("users", "password", "anna", "--password-stdin", given="chosen by hand\n")
    assert stored(hub)["anna"]["password"] == "chosen by hand"
    assert "chosen by hand" not in result.stdout


def test_passwords_that_are_not_the_hubs_business_are_told_so(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": True})
    hub.write("playbooks/ldap", "")
    result = hub.run("users", "password", "anna")
    assert result.returncode == 2
    assert "on one passwords are not the hub's business" in result.stderr
    assert stored(hub)["anna"]["password"] == "old"


def test_users_are_removed_only_when_that_is_meant(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": True})
    refused = hub.run("users", "remove", "anna")
    assert refused.returncode == 2
    assert list(stored(hub)) == ["anna"]
    result = hub.run("users", "remove", "anna", "--yes")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["anna removed; the home stays: a new user of that name would get it."]
    assert stored(hub) == {}


def test_who_is_unknown_is_named_and_nobody_is_removed(hub: Checkout) -> None:
    store(hub, anna={"password": "old", "admin": True})
    result = hub.run("users", "remove", "anna", "bert", "--yes")
    assert result.returncode == 2
    assert 'there is no user "bert"' in result.stderr
    assert list(stored(hub)) == ["anna"]
    result = hub.run("users", "remove", "bert", "gone", "--delete-home", "--yes")
    assert result.returncode == 2
    assert "gone was no user any more; the home deleted." in result.stdout
    assert "no user and no home of: bert" in result.stderr


def test_groups_are_listed_and_changed(hub: Checkout) -> None:
    store(hub, anna={"password": "x", "admin": False, "groups": ["lab"]}, bert={"password": "x", "admin": False})
    assert hub.run("users", "groups", "anna", "bert", "--add", "students", "--remove", "lab").returncode == 0
    assert [user["groups"] for user in stored(hub).values()] == [["students"], ["students"]]
    assert json.loads(hub.run("users", "groups", "--json").stdout) == {"one": {"students": ["anna", "bert"]}}
    assert re.search(r"students.*anna, bert", hub.run("users", "groups").stdout)
    for arguments, message in (
        (("anna",), "--add GROUP or --remove GROUP"),
        (("--add", "lab"), "give names"),
        (("anna", "-a", "lab", "-r", "lab"), 'group "lab" is both'),
        (("anna", "nobody", "-a", "lab"), 'there is no user "nobody"'),
    ):
        refused = hub.run("users", "groups", *arguments)
        assert refused.returncode == 2
        assert message in refused.stderr
    assert stored(hub)["anna"]["groups"] == ["students"]


def test_a_lock_out_is_seen_and_ended(hub: Checkout) -> None:
    store(hub, anna={"password": "x", "admin": False, "locked_until": "2026-01-02T03:04:05+00:00"})
    assert "2026-01-02T03:04:05+00:00" in hub.run("users", "list").stdout
    assert hub.run("users", "unlock", "anna").stdout == "anna may try again.\n"
    assert hub.run("users", "unlock", "anna").stdout == "anna was not locked out.\n"
    assert hub.run("users", "unlock", "nobody").returncode == 2


def test_who_has_signed_up_is_listed_and_decided_on(hub: Checkout) -> None:
    store(hub)
    hub.write("playbooks/waiting.json", '["anna", "bert"]')
    listed = hub.run("users", "list", "--waiting").stdout
    assert "[hi]" in listed
    assert [one["name"] for one in json.loads(hub.run("users", "list", "--waiting", "--json").stdout)["one"]] == [
        "anna",
        "bert",
    ]
    unknown = hub.run("users", "approve", "anna", "carl")
    assert unknown.returncode == 2
    assert 'no user "carl" waits' in unknown.stderr
    assert hub.run("users", "approve", "anna", "-g", "students").stdout == "anna can log in now.\n"
    assert hub.run("users", "refuse", "bert").stdout == "bert was refused.\n"
    assert stored(hub) == {"anna": {"password": "chosen", "admin": False, "groups": ["students"]}}
    assert hub.run("users", "list", "--waiting").stdout == "Nobody waits on one.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either names or --csv"),
        (("anna", "--csv", "x.csv"), "either names or --csv"),
        (("--csv", "x.csv", "--group", "lab"), "columns of the file"),
        (("--csv", "missing.csv"), 'there is no file "missing.csv"'),
    ],
)
def test_what_does_not_go_together_runs_nothing(hub: Checkout, arguments: tuple[str, ...], message: str) -> None:
    result = hub.run("users", "add", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert hub.logs() == []


@pytest.mark.parametrize("command", ["add", "list", "groups", "remove", "password", "unlock", "approve", "refuse"])
def test_help_has_examples_for_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["users", command, "--help"]) == 0
    assert f"berth users {command}" in capsys.readouterr().out.partition("Example")[2]


@pytest.mark.parametrize("name", ["", "a" * 256, "a/b", ".", "..", " a", "a ", "a\nb", "a\x00b", "a\u2028b"])
def test_names_that_cannot_be_are_refused_by_name(name: str) -> None:
    with pytest.raises(BerthError, match="user name") as caught:
        check_names(["fine", name])
    assert repr(name) in str(caught.value)


def test_names_stay_as_they_are_and_must_differ() -> None:
    wanted = ["Zoë", "zoë", "a b", "x@y.example", "a" * 255]
    assert check_names(wanted) == wanted
    with pytest.raises(BerthError, match="twice"):
        check_names(["anna", "anna"])


def test_names_that_are_brought_become_lower_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_lower_case(["Zoë", "a b"]) == ["zoë", "a b"]
    assert '"Zoë" becomes "zoë"' in capsys.readouterr().err
    with pytest.raises(BerthError, match="twice"):
        in_lower_case(["anna", "Anna"])


@pytest.mark.parametrize(
    ("there", "exact", "typed", "known"),
    [
        (["alice", "Alice"], True, "Alice", "Alice"),
        (["alice", "Alice"], True, "alice", "alice"),
        (["Alice"], True, "Alice", "Alice"),
        (["alice"], False, "Alice", "alice"),
    ],
)
def test_a_name_is_that_of_whom_the_host_knows(there: list[str], typed: str, known: str, *, exact: bool) -> None:
    report = Report("one", {"users": [{"name": name} for name in there], "exact_names": exact})
    assert as_known([report], [typed]) == [known]


@pytest.mark.parametrize(
    ("there", "exact", "typed"), [("Alice", True, "alice"), ("alice", True, "Alice"), ("Alice", True, "bob")]
)
def test_nobody_else_is_meant(there: str, typed: str, *, exact: bool) -> None:
    report = Report("one", {"users": [{"name": there}], "exact_names": exact})
    with pytest.raises(BerthError, match=f'there is no user "{typed}"'):
        as_known([report], [typed])
    assert as_meant([report], [typed]) == [typed], "whose home may be left"


def test_a_bad_name_runs_nothing(hub: Checkout) -> None:
    result = hub.run("users", "add", "anna", "../bert")
    assert result.returncode == 2
    assert "'../bert'" in result.stderr
    assert hub.logs() == []


def test_passwords_are_readable_and_never_the_same() -> None:
    passwords = {new_password() for _ in range(200)}
    assert len(passwords) == 200
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){3}[a-hjkmnp-z2-9]{4}", password) for password in passwords)
