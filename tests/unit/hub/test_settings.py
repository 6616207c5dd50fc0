"""What the site decided is checked as a whole, and each mistake is told by file, key and what is allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import berth_hub.settings
import berth_names
import pytest
import yaml
from berth_hub.settings import load
from berth_hub.settings.values import bytes_of
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.hub.conftest import write_settings


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ValueError, match=r".") as caught:
        load(path)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1K", 1024),
        ("512M", 512 * 1024**2),
        ("2G", 2 * 1024**3),
        ("1T", 1024**4),
        ("1.5G", 3 * 1024**3 // 2),
        (" 2G ", 2 * 1024**3),
        (1073741824, 1024**3),
    ],
)
def test_units_become_bytes(text: object, amount: int) -> None:
    assert bytes_of(text) == amount


@pytest.mark.parametrize(
    "wrong",
    [
        "12X",
        "2g",
        "2GB",
        "G",
        "",
        "-1G",
        "0G",
        "0.0001K",
        "1e3M",
        "2 G",
        "٣x",
        "9" * 400 + "G",
        0,
        -5,
        True,
        None,
        1.5,
        [],
        "2G\n3G",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(wrong: object) -> None:
    with pytest.raises(ValueError, match="is no amount of memory: use a number with K, M, G or T, like 2G") as caught:
        bytes_of(wrong)
    assert f'"{wrong}"' in str(caught.value)


@given(
    st.one_of(
        st.text(max_size=12),
        st.integers(),
        st.floats(),
        st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,12})?[KMGT]", fullmatch=True),
    )
)
def test_an_amount_is_never_nothing(value: object) -> None:
    """Docker takes 0 for no limit at all."""
    try:
        amount = bytes_of(value)
    except ValueError:
        return
    assert isinstance(amount, int)
    assert amount > 0


def test_valid_settings_are_read_with_their_units(tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path / "hub.json"))
    assert settings.berth.memory == 2 * 1024**3
    assert settings.berth.home == Path("/home/jovyan")
    assert settings.secrets_directory == Path("/etc/berth/secrets")


def test_numbers_may_come_as_text(tmp_path: Path) -> None:
    """Ansible renders text where a template made the number."""
    settings = load(write_settings(tmp_path / "hub.json", berth__cpus="0.5", berth__pids="64", idle__after_seconds="0"))
    assert (settings.berth.cpus, settings.berth.pids, settings.idle.after_seconds) == (0.5, 64, 0)


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        (
            {"berth__memory": "12X"},
            'berth.memory: "12X" is no amount of memory: use a number with K, M, G or T, like 2G',
        ),
        ({"berth__memry": "2G"}, "berth.memry: no such setting"),
        ({"colour": "blue"}, "colour: no such setting"),
        ({"berth__image": ...}, "berth.image: is missing"),
        ({"accounts": ...}, "accounts: is missing"),
        ({"berth__image": ""}, "berth.image: String should have at least 1 character"),
        ({"berth__cpus": 0}, "berth.cpus: Input should be greater than 0"),
        ({"berth__cpus": float("inf")}, "berth.cpus: Input should be a finite number"),
        ({"berth__pids": 5}, "berth.pids: Input should be greater than or equal to 32"),
        ({"berth__environment": {"A": 1}}, "berth.environment.A: Input should be a valid string"),
        ({"berth__default_url": "lab"}, "berth.default_url: String should match pattern '^/'"),
        ({"berth__notebooks_folder": "../x"}, "berth.notebooks_folder: String should match pattern"),
        ({"berth__notebooks_folder": "a/b"}, "berth.notebooks_folder: String should match pattern"),
        ({"accounts__admins": "ann"}, "accounts.admins: 'ann' is no list: write it in brackets, like [ann]"),
        ({"accounts__admins": []}, "accounts.admins: List should have at least 1 item"),
        (
            {"accounts__password_length_min": 7},
            "accounts.password_length_min: Input should be greater than or equal to 8",
        ),
        (
            {"accounts__password_length_min": 73},
            "accounts.password_length_min: Input should be less than or equal to 72",
        ),
        ({"accounts__failed_logins_max": 0}, "accounts.failed_logins_max: Input should be greater than or equal to 1"),
        ({"public_url": "hub.example.org"}, 'public_url: "hub.example.org" is no address of a hub: use https://NAME'),
        ({"public_url": "https://hub.example.org/"}, 'public_url: "https://hub.example.org/" is no address of a hub'),
        ({"base_url": "jupyter"}, 'base_url: "jupyter" is no base URL: use a path that starts and ends with "/"'),
        ({"base_url": "/jupyter"}, 'base_url: "/jupyter" is no base URL'),
        ({"base_url": "//"}, 'base_url: "//" is no base URL'),
        ({"subdomains": "maybe"}, "subdomains: Input should be a valid boolean"),
    ],
)
def test_a_mistake_is_told_by_file_and_key(tmp_path: Path, changes: dict[str, Any], mistake: str) -> None:
    path = write_settings(tmp_path / "hub.json", **changes)
    (line,) = mistakes(path)
    assert line.startswith(f"{path}: {mistake}")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write_settings(tmp_path / "hub.json", berth__memory="12X", berth__memry="2G", accounts=..., base_url="x")
    assert [line.removeprefix(f"{path}: ").split(":")[0] for line in sorted(mistakes(path))] == [
        "accounts",
        "base_url",
        "berth.memory",
        "berth.memry",
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"public_url: x", b'{"a": "\xff"}'])
def test_what_is_no_json_is_told_by_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hub.json"
    path.write_bytes(content)
    (line,) = mistakes(path)
    assert line.startswith(f"{path}: not JSON: ")


def test_a_list_is_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "hub.json"
    path.write_text("[]")
    (line,) = mistakes(path)
    assert line.startswith(f"{path}: the whole file: ")


def check(path: Path) -> subprocess.CompletedProcess[str]:
    # On a host both lie in one folder.
    places = (Path(berth_hub.settings.__file__).parents[2], Path(berth_names.__file__).parent)
    environment = {"PYTHONPATH": os.pathsep.join(map(str, places)), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "berth_hub.settings", str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_check_before_a_new_file_is_used(tmp_path: Path) -> None:
    good = check(write_settings(tmp_path / "good.json"))
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    bad = check(write_settings(tmp_path / "bad.json", berth__memory="12X"))
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith(f"{tmp_path}/bad.json: berth.memory: ")
    assert len(bad.stderr.splitlines()) == 1
    missing = check(tmp_path / "missing.json")
    assert missing.returncode == 1
    assert "missing.json" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_what_the_templates_hand_over_is_what_is_expected() -> None:
    """Each key that the role renders, and no other: checked by name, since only a converge renders values."""
    variables = Path(__file__).resolve().parents[3] / "roles" / "jupyterhub" / "vars" / "main.yml"
    rendered = yaml.safe_load(variables.read_text())["__jupyterhub_settings"]
    assert set(rendered) == set(berth_hub.settings.Settings.model_fields)
    for part in ("berth", "accounts", "authentication", "idle", "options"):
        model = berth_hub.settings.Settings.model_fields[part].annotation
        assert model is not None
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        assert required <= set(rendered[part]) <= set(model.model_fields)


def test_settings_can_be_written_as_json_again(tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path / "hub.json"))
    assert json.loads(settings.model_dump_json())["berth"]["memory"] == 2 * 1024**3


def test_sign_up_is_for_accounts_of_the_hubs_own(tmp_path: Path) -> None:
    way = {"authentication__way": {"method": "pam"}, "authentication__allow_all": True}
    assert load(write_settings(tmp_path / "hub.json", **way)).people.signup == "closed"
    (told,) = mistakes(write_settings(tmp_path / "hub.json", people__signup="approval", **way))
    assert 'jupyterhub_signup "approval"' in told
    (told,) = mistakes(write_settings(tmp_path / "hub.json", people__signup="open"))
    assert "people.signup: Input should be 'closed' or 'approval'" in told
