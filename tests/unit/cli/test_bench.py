"""``berth bench``: what it makes of figures, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from berth_cli.bench import quantile

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

FOUND = {
    "what": "spawn",
    "machine": {"processors": 2, "memory_bytes": 2**34, "kernel": "6.1", "docker": "26.1", "load": 0.25},
    "seconds": {"docker run": [0.5, 0.25, 0.5], "berth": [1.0, 1.0, 4.0], "stock": [4.0, 3.0, 5.0]},
}

REPORT = f"""
- hosts: hub
  gather_facts: false
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {{{{ bench_said | combine({{'rounds': bench_rounds, 'peer': bench_peer}}) }}}}
      vars:
        bench_said: {json.dumps(FOUND)}
""".replace("msg: {{", 'msg: "{{').replace(") }}\n", ') }}"\n')


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0], 0.95, 3.0), ([1.0, 2.0], 0.5, 1.5), ([5.0, 1.0, 3.0], 0.0, 1.0), ([5.0, 1.0, 3.0], 1.0, 5.0)],
)
def test_quantile(values: list[float], share: float, expected: float) -> None:
    assert quantile(values, share) == expected


def test_a_table_says_how_ours_compares(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", REPORT)
    result = checkout.run("bench", "spawn", "--rounds", "3")
    assert result.returncode == 0, result.stderr
    rows = {line.split("  ")[0]: line.split() for line in result.stdout.splitlines()}
    assert rows["docker run"][2:] == ["3", "0.500", "0.500", "0.250", "0.500", "2.00", "x"]
    assert rows["berth"][1:] == ["3", "1.000", "3.700", "1.000", "4.000"]
    assert rows["stock"][-2:] == ["0.25", "x"]


def test_json_has_every_figure(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", REPORT)
    result = checkout.run("bench", "spawn", "--rounds", "7", "--no-peer", "--json")
    assert json.loads(result.stdout) == {"one": FOUND | {"rounds": 7, "peer": False}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["speed"], "spawn"), (["spawn", "--rounds", "0"], "--rounds"), (["spawn", "--check"], "leave out --check")],
)
def test_what_cannot_be_measured(checkout: Checkout, arguments: list[str], said: str) -> None:
    result = checkout.run("bench", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
