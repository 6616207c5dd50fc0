"""Names and values of variables, judged against what the roles of this project declare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from berth_preflight.known import Declared, declared, unknown
from berth_preflight.values import hub_mistakes, mistyped, variables_of

ROLES = Path(__file__).resolve().parents[3] / "roles"


@pytest.fixture(scope="module")
def known() -> Declared:
    return declared(ROLES)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("jupyterhub_berth_memroy", "jupyterhub_berth_memory"),
        ("proxy_htps_port", "proxy_https_port"),
        ("notebook_image_package", "notebook_image_packages"),
        ("preflight_memory_min", "preflight_memory_min_mb"),
    ],
)
def test_the_nearest_is_suggested(known: Declared, name: str, nearest: str) -> None:
    (told,) = unknown([name], known)
    assert told.startswith(f"{name}: Berth has no such variable; did you mean {nearest}?")


def test_without_a_near_one_the_place_of_all_is_named(known: Declared) -> None:
    (told,) = unknown(["docker_zzz"], known)
    assert "roles/docker/defaults/main.yml" in told


def test_what_is_known_or_the_sites_own_is_fine(known: Declared) -> None:
    every = [name for options in known.specs.values() for name in options]
    assert len(every) > 40
    assert unknown([*every, "notebook_image_name", "ansible_user", "site_proxy", "__proxy_tls"], known) == []
    assert unknown(["docker_users"], known, own=["docker_users"]) == []


def test_a_role_added_later_needs_no_entry(tmp_path: Path) -> None:
    meta = tmp_path / "later" / "meta"
    meta.mkdir(parents=True)
    meta.joinpath("argument_specs.yml").write_text("argument_specs: {main: {options: {later_size: {type: int}}}}\n")
    tasks = tmp_path / "later" / "tasks"
    tasks.mkdir()
    tasks.joinpath("main.yml").write_text("- block:\n    - ansible.builtin.set_fact: {later_found: 1}\n")
    (told,) = unknown(["later_size", "later_found", "later_sise"], declared(tmp_path))
    assert "later_sise" in told
    assert "did you mean later_size?" in told


OPTIONS: dict[str, Any] = {
    "x_count": {"type": "int"},
    "x_kind": {"type": "str", "choices": ["a", "b"]},
    "x_names": {"type": "list", "elements": "str"},
    "x_password": {"type": "int", "no_log": True},
    "x_needed": {"type": "str", "required": True},
}


def test_wrong_kinds_are_told_by_name_and_secrets_are_not_shown() -> None:
    told = mistyped(OPTIONS, {"x_count": "many", "x_kind": "c", "x_names": {}, "x_password": "hunter2", "x_other": 1})
    assert "x_count: 'many' is not a whole number" in told
    assert any("x_needed" in line for line in told)
    assert any("x_kind" in line and "a, b" in line for line in told)
    assert any("x_names" in line for line in told)
    assert any("x_password" in line for line in told)
    assert "hunter2" not in " ".join(told)


def test_a_choice_that_yaml_takes_for_false_is_told_to_be_put_in_quotes() -> None:
    options = {"x_tls": {"type": "str", "choices": ["on demand", "off"]}, "x_kind": {"type": "str", "choices": ["a"]}}
    (told,) = mistyped(options, {"x_tls": False, "x_kind": "a"})
    assert told.startswith("x_tls: false is none of on demand, off;")
    assert "write 'off' (in quotes)" in told
    assert mistyped(options, {"x_tls": "off", "x_kind": True}) == ["x_kind: true is none of a"]


def test_text_that_is_a_number_is_one() -> None:
    assert mistyped(OPTIONS, {"x_count": "5", "x_kind": "a", "x_names": ["n"], "x_needed": ""}) == []


def test_the_variable_behind_a_setting_is_found_through_internal_ones() -> None:
    raw = {"berth": {"memory": "{{ jupyterhub_berth_memory }}", "all": "{{ __inner | combine({}) }}"}}
    variables = {"__inner": {"x": "{{ jupyterhub_berth_cpus }}"}}
    public = {"jupyterhub_berth_memory", "jupyterhub_berth_cpus"}
    assert variables_of(raw, ("berth", "memory"), variables, public) == ["jupyterhub_berth_memory"]
    assert variables_of(raw, ("berth", "all", "x", 0), variables, public) == ["jupyterhub_berth_cpus"]


def test_a_default_that_only_takes_over_another_variable_is_not_to_blame() -> None:
    raw, public = {"public_url": "{{ jupyterhub_public_url }}"}, {"jupyterhub_public_url", "proxy_public_url"}
    default = {"jupyterhub_public_url": "{{ proxy_public_url }}", "proxy_public_url": "hub.example.org"}
    assert variables_of(raw, ("public_url",), default, public) == ["proxy_public_url"]
    own = {**default, "jupyterhub_public_url": "hub.example.org"}
    assert variables_of(raw, ("public_url",), own, public) == ["jupyterhub_public_url"]
    around = {"jupyterhub_public_url": "{{ proxy_public_url }}", "proxy_public_url": "{{ jupyterhub_public_url }}"}
    assert len(variables_of(raw, ("public_url",), around, public)) == 1


def test_mistakes_name_the_variable_or_the_key() -> None:
    def judge(_: Any) -> list[tuple[tuple[Any, ...], str]]:
        return [(("berth", "memory"), "is no amount"), (("state",), "is missing")]

    told = hub_mistakes({}, judge, lambda where: ["jupyterhub_berth_memory"] if where[0] == "berth" else [])
    assert told == [
        "jupyterhub_berth_memory: is no amount (berth.memory of hub.json)",
        "state of hub.json: is missing",
    ]


def test_a_mistake_of_a_whole_part_is_not_blamed_on_all_its_variables() -> None:
    text = "jupyterhub_auth oidc needs to know who may log in: set jupyterhub_allowed_users"
    told = hub_mistakes({}, lambda _: [(("authentication",), text)], lambda _: [f"jupyterhub_{n}" for n in range(30)])
    assert told == [f"authentication of hub.json: {text}"]
