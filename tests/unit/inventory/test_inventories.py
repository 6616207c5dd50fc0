"""The inventories that people copy can be read; what they set, or show in a comment, exists and is of its type."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

ROOT = Path(__file__).resolve().parents[3]
INVENTORIES = ("example", "localhost")
KNOB = re.compile(r"^(\s*)# ([a-z][a-z_0-9]*: .*)$", re.MULTILINE)
"""A variable in a comment. Sentences begin with a capital letter, and have no colon after a single word."""

NOT_OF_A_ROLE = ("ansible_", "berth_environment")


@functools.cache
def options() -> dict[str, dict[str, Any]]:
    """What the roles take, by name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            found |= entry.get("options", {})
    return found


def variables(text: str) -> dict[str, Any]:
    """All variables of an inventory, of groups and hosts, by name."""
    found: dict[str, Any] = {}
    for group in yaml.safe_load(text).values():
        found |= group.get("vars") or {}
        for host in group["hosts"].values():
            found |= host or {}
    return found


def complaints(text: str) -> list[str]:
    """What is wrong with the variables of an inventory, those in comments included."""
    wrong = []
    for name, value in variables(KNOB.sub(r"\1\2", text)).items():
        if name.startswith(NOT_OF_A_ROLE):
            continue
        if name not in options():
            wrong.append(f"{name}: no role has it")
            continue
        spec = {key: options()[name][key] for key in ("type", "elements", "choices") if key in options()[name]}
        wrong += ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages
    return wrong


def listed(inventory: str | Path) -> Any:
    """An inventory as Ansible reads it."""
    result = subprocess.run(
        [Path(sys.executable).parent / "ansible-inventory", "-i", str(inventory), "--list"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", INVENTORIES)
def test_ansible_reads_it_and_finds_one_hub(name: str) -> None:
    assert len(listed(f"inventory/{name}")["hub"]["hosts"]) == 1


def test_what_its_variables_name_may_lie_in_its_folder(tmp_path: Path) -> None:
    """Ansible takes every file of such a folder, at any depth, for an inventory, unless it is told not to."""
    for name in (
        "hub.crt",
        "hub.key",
        "ca.pem",
        "logo.svg",
        "class.csv",
        "traefik/more.yml",
        "jupyterhub_config.d/10-x.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("-----BEGIN CERTIFICATE-----\nhttp: {routers: {}}\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "hub.yml").write_text("found: true\n")
    (tmp_path / "hosts.yml").write_text("hub: {hosts: {one: {}}}\n")
    (tmp_path / "hosts").write_text("[hub]\ntwo\n")
    read = listed(tmp_path)
    assert sorted(read["hub"]["hosts"]) == ["one", "two"]
    assert read["_meta"]["hostvars"]["one"]["found"] is True
    assert "traefik" not in json.dumps(read)


@pytest.mark.parametrize("name", INVENTORIES)
def test_every_variable_is_of_a_role_and_of_its_type(name: str) -> None:
    assert complaints((ROOT / "inventory" / name / "hosts.yml").read_text(encoding="utf-8")) == []


def test_common_knobs_are_shown() -> None:
    shown = variables(KNOB.sub(r"\1\2", (ROOT / "inventory" / "example" / "hosts.yml").read_text(encoding="utf-8")))
    roles = {name.split("_")[0] for name in shown}
    assert {"ansible", "proxy", "jupyterhub", "notebook", "shared", "firewall", "docker", "base"} <= roles


def test_wrong_ones_are_found() -> None:
    text = "hub:\n  hosts: {one: {}}\n  vars:\n    # no_such: 1\n    jupyterhub_berth_pids: many\n"
    text += "    # docker_install: [7]\n"
    said = "\n".join(complaints(text))
    assert "no_such: no role has it" in said
    assert "jupyterhub_berth_pids" in said
    assert "docker_install" in said
