"""The CSV file of a class: what is read from it, and what is refused by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.cli.conftest import CHECKOUT
from tests.unit.scripts import load

if TYPE_CHECKING:
    from pathlib import Path

_FILE = CHECKOUT / "roles" / "jupyterhub_users" / "filter_plugins" / "berth_roster.py"
roster = load(_FILE)


def read(tmp_path: Path, content: bytes) -> list[dict[str, Any]]:
    file = tmp_path / "class.csv"
    file.write_bytes(content)
    rows: list[dict[str, Any]] = roster.read(file)
    return rows


def problem(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(roster.RosterError) as caught:
        read(tmp_path, content)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_file_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    content = (
        '\ufeffName,Password,Groups,Admin\r\nanna,,students; lab,\r\n\r\n"Zoë","a, password ",,YES\r\nbert,,,no\r\n'
    )
    anna, zoe, bert = read(tmp_path, content.encode())
    assert (anna["name"], anna["groups"], anna["generated"], "admin" in anna) == (
        "anna",
        ["students", "lab"],
        True,
        False,
    )
    assert (zoe["name"], zoe["password"], zoe["generated"], zoe["admin"]) == ("Zoë", "a, password ", False, True)
    assert (bert["admin"], bert["groups"]) == (False, [])
    assert len(anna["password"]) == 19
    assert anna["password"] != bert["password"]
    assert [row["where"].rpartition(" line ")[2] for row in (anna, zoe, bert)] == ["2", "4", "5"]


def test_passwords_of_a_run_that_was_interrupted_are_taken_over(tmp_path: Path) -> None:
    file, part = tmp_path / "class.csv", tmp_path / "passwords.csv.part"
    file.write_text("name,password\nAnna,\nbert,\ncarl,of his own 1\n")
    first = roster.berth_roster(str(file), str(part))
    assert (first["problem"], first["pending"]) == ("", {})
    part.write_text(roster.berth_passwords(first["wanted"], ["anna", "bert"]))
    second = roster.berth_roster(str(file), str(part))
    assert [row["password"] for row in second["wanted"]] == [row["password"] for row in first["wanted"]]
    # Anna was added by the first run, so that only Bert is new to the second; Dora is in the file no more.
    text = roster.berth_passwords(second["wanted"], ["bert"], {**second["pending"], "dora": "hers"})
    passwords = {row["name"]: row["password"] for row in first["wanted"]}
    assert text.splitlines() == [
        "name,password",
        f"anna,{passwords['Anna']}",
        f"bert,{passwords['bert']}",
        "dora,hers",
    ]


def test_what_an_interrupted_run_left_must_be_readable(tmp_path: Path) -> None:
    file, part = tmp_path / "class.csv", tmp_path / "passwords.csv.part"
    file.write_text("name\nanna\n")
    part.write_text("something else\nx\n")
    assert f"{part}: what an earlier run left cannot be read" in roster.berth_roster(str(file), str(part))["problem"]


def test_the_name_is_enough(tmp_path: Path) -> None:
    assert [row["name"] for row in read(tmp_path, b"name\nanna\nbert")] == ["anna", "bert"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "class.csv: is empty: the columns are"),
        (b"name,groups\n", "class.csv: has a header and nobody below it"),
        (b"anna,secret\n", "class.csv line 1: 'anna' is no column, and the first line must name them"),
        (b"name,pasword\nanna,x\n", "class.csv line 1: 'pasword' is no column"),
        (b"groups\nlab\n", "class.csv line 1: each column is there once, and name must be"),
        (b"name,name\na,b\n", "class.csv line 1: each column is there once"),
        (b"name;groups\nanna;lab\n", 'class.csv line 1: cells are separated by ";"'),
        (b"name,groups\nanna,lab\nbert\n", "class.csv line 3: has 1 cells where the header has 2"),
        (b"name,groups\nanna,a,b\n", "class.csv line 2: has 3 cells where the header has 2"),
        (b"name,groups\n,lab\n", "class.csv line 2: the name is missing"),
        (b"name,admin\nanna,maybe\n", "class.csv line 2: admin is 'maybe': use yes, no or nothing"),
        (b"name\nanna\n\nbert\nAnna\n", "class.csv line 5: 'Anna' is there already, in line 2"),
        (b'name\nanna\n"bert\n', "class.csv line 3: not CSV"),
        (b"name\n\xff\n", "class.csv: not UTF-8 at byte 5"),
    ],
)
def test_a_bad_line_is_named_by_number(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in problem(tmp_path, content)


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    found = roster.berth_roster(str(tmp_path / "missing.csv"))
    assert found == {
        "wanted": [],
        "pending": {},
        "problem": f"{tmp_path}/missing.csv: cannot be read: No such file or directory",
    }


def test_the_passwords_of_those_who_are_new_are_written(tmp_path: Path) -> None:
    rows = read(tmp_path, b"name,password\nAnna,\nbert,a password of their own\ncarl,\n")
    assert roster.berth_passwords(rows, ["anna", "bert"]) == f"name,password\nanna,{rows[0]['password']}\n"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300)
    | st.text(alphabet='na,me"\n\r;é\0@/.', max_size=100).map(lambda rest: f"name\n{rest}".encode())
)
def test_whatever_a_file_holds_is_people_or_a_mistake_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    try:
        rows = read(tmp_path, content)
    except roster.RosterError as error:
        assert "class.csv" in str(error)  # noqa: PT017 (it may be people, too)
    else:
        assert all(row["name"] for row in rows)
