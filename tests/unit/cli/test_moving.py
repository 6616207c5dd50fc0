"""``berth export``, ``import`` and ``adopt``: what they hand to the playbooks, and what they make of the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

PLAYBOOK = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Take down what was given
      ansible.builtin.copy:
        content: "{{ GIVEN | to_json }}"
        dest: "{{ playbook_dir }}/given.json"
        mode: "0644"
      check_mode: false
    - name: Write a password
      ansible.builtin.copy:
        content: "name,password\\nanna,made-up\\n"
        dest: "{{ user_import_passwords_to | default(adopt_passwords_to) }}"
        mode: "0600"
      when: user_import_passwords_to is defined or adopt_passwords_to is defined
    - name: Report
      ansible.builtin.debug:
        msg: REPORTED
"""
EXPORTED = {
    "user": "anna",
    "file": "/somewhere/anna.berth.tar",
    "files": 12,
    "bytes": 3 * 2**20,
    "archive_bytes": 2**20,
    "changed_meanwhile": 2,
}
EXPORT = {"exported": [EXPORTED], "would": ["anna"], "left_out": ["bert"]}
IMPORT: dict[str, Any] = {
    "imported": "ann",
    "from": "anna",
    "host": "old",
    "date": "2026-01-02T03:04:05+00:00",
    "files": 12,
    "bytes": 3 * 2**20,
    "special_bits": 1,
    "folder": "imported-2026-01-02",
    "account": "made",
    "admin": True,
    "groups": ["lab"],
    "password": "new",
}


def write(checkout: Checkout, name: str, report: object, *variables: str) -> None:
    given = PLAYBOOK.replace("GIVEN", f"[{', '.join(variables)}]").replace("REPORTED", json.dumps(report))
    checkout.write(f"playbooks/{name}.yml", given)


def given(checkout: Checkout) -> list[Any]:
    found: list[Any] = json.loads((checkout.root / "playbooks" / "given.json").read_text(encoding="utf-8"))
    return found


def write_export(checkout: Checkout, report: object) -> None:
    names = ("user_export_names", "user_export_all", "user_export_to", "user_export_servers")
    write(checkout, "export", report, *names)


def test_an_export_says_where_it_is_and_what_may_be_wrong_with_it(checkout: Checkout) -> None:
    write_export(checkout, EXPORT)
    result = checkout.run("export", "Anna", "x.tar", "--running")
    assert result.returncode == 0, result.stderr
    names, everybody, to, servers = given(checkout)
    assert (names, everybody, Path(to).name, servers) == (["Anna"], False, "x.tar", "running")
    assert Path(to).is_absolute()
    assert "anna: 12 files, 3.0 MiB, in /somewhere/anna.berth.tar (1.0 MiB)" in result.stdout
    assert "2 files or folders changed meanwhile" in result.stdout
    assert "left out: bert" in result.stdout


def test_everybody_goes_into_a_folder_that_is_there(checkout: Checkout, tmp_path: Path) -> None:
    write_export(checkout, EXPORT)
    assert checkout.run("export", "--all", str(tmp_path / "nowhere")).returncode == 2
    result = checkout.run("export", "--all", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert given(checkout) == [[], True, str(tmp_path), "refuse"]


@pytest.mark.parametrize("arguments", [(), ("anna", "--all", "."), ("../x",)])
def test_who_is_meant_must_be_clear(checkout: Checkout, arguments: tuple[str, ...]) -> None:
    write_export(checkout, EXPORT)
    assert checkout.run("export", *arguments).returncode == 2
    assert not (checkout.root / "playbooks" / "given.json").exists()


def write_import(checkout: Checkout, report: object) -> None:
    names = ("user_import_file", "user_import_as", "user_import_into_existing", "user_import_rights")
    write(checkout, "import", report, *names)


def test_an_import_tells_all_that_came_and_a_password_once(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    write_import(checkout, IMPORT)
    result = checkout.run("import", str(tmp_path / "x.tar"), "--as", "Ann")
    assert result.returncode == 0, result.stderr
    assert given(checkout) == [str(tmp_path / "x.tar"), "ann", False, True]
    for told in (
        "anna as ann imported, 12 files",
        "From old",
        "~/imported-2026-01-02",
        "Groups: lab",
        "An admin",
        "1 files",
    ):
        assert told in result.stdout, told
    assert result.stdout.count("Password of anna, made up and shown only now: made-up") == 1
    write_import(checkout, {**IMPORT, "account": "kept", "admin": False, "groups": []})
    checkout.write(
        "playbooks/import.yml",
        (checkout.root / "playbooks/import.yml").read_text().replace("when: user", "when: false and user"),
    )
    again = checkout.run("import", str(tmp_path / "x.tar"), "--into-existing", "--without-rights")
    assert given(checkout)[2:] == [True, False]
    assert "stays as it is" in again.stdout
    assert "made-up" not in again.stdout


def test_a_file_that_is_not_there_is_said_at_once(checkout: Checkout) -> None:
    result = checkout.run("import", "nothing.tar")
    assert result.returncode == 2
    assert 'there is no file "nothing.tar"' in result.stderr


ADOPTED = {
    "homes": [
        {"name": "anna", "home": "/x", "place": "work", "files": 12, "bytes": 3 * 2**20, "folder": "adopted-2026-01-02"}
    ],
    "accounts": [{"name": "bert", "groups": ["lab"], "admin": True}],
    "new_passwords": ["bert"],
    "done": ["carl"],
    "left_out": ["dora"],
    "strays": ["jupyterhub-user-x"],
    "changed_meanwhile": 2,
}


def write_adopt(checkout: Checkout) -> None:
    write(checkout, "adopt", ADOPTED, "adopt_kind", "adopt_from", "adopt_users", "adopt_existing", "adopt_data_volume")


def test_an_adoption_tells_who_came_with_what_and_who_did_not(checkout: Checkout) -> None:
    write_adopt(checkout)
    result = checkout.run("adopt", "tljh", "--from", "/srv/copy", "--user", "Anna", "--user", "bert", "--into-existing")
    assert result.returncode == 0, result.stderr
    assert given(checkout) == ["tljh", "/srv/copy", ["anna", "bert"], "into", None]
    for told in (
        "1 homes brought, 1 accounts made",
        "anna: 12 files, 3.0 MiB, in ~/adopted-2026-01-02/work",
        "bert: an account of an admin; a new password; groups lab",
        "from there: carl",
        "of that name here: dora",
        "left alone: jupyterhub-user-x",
        "2 files or folders changed meanwhile",
        "made-up",
    ):
        assert told in result.stdout, told


def test_a_dry_run_of_an_adoption_brings_nobody(checkout: Checkout) -> None:
    write_adopt(checkout)
    result = checkout.run("adopt", "deploy-docker", "-C", "--data-volume", "x")
    assert result.returncode == 0, result.stderr
    assert given(checkout) == ["deploy-docker", None, [], "refuse", "x"]
    assert "1 homes would be brought, 1 accounts would be made" in result.stdout
    assert "made-up" not in result.stdout


def test_passwords_of_an_adoption_go_to_a_new_file(checkout: Checkout, tmp_path: Path) -> None:
    write_adopt(checkout)
    result = checkout.run("adopt", "tljh", "--passwords-to", str(tmp_path / "new.csv"))
    assert "made-up" not in result.stdout
    assert "anna,made-up" in (tmp_path / "new.csv").read_text()
    assert checkout.run("adopt", "tljh", "--passwords-to", str(tmp_path / "new.csv")).returncode == 2
    assert checkout.run("adopt", "zero-to-jupyterhub").returncode == 2
