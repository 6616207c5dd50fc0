"""``berth bench``: what it makes of figures, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from berth_cli import plots
from berth_cli.bench import quantile

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.conftest import Checkout

FOUND = {
    "what": "spawn",
    "machine": {"processors": 2, "memory_bytes": 2**34, "kernel": "6.1", "docker": "26.1", "load": 0.25},
    "seconds": {"docker run": [0.5, 0.25, 0.5], "berth": [1.0, 1.0, 4.0], "stock": [4.0, 3.0, 5.0]},
}

STORM = {
    "what": "storm",
    "machine": FOUND["machine"],
    "seconds": {"berth": [1.0, 2.0], "berth (the hub's answers)": [0.25], "stock": []},
    "figures": {
        "berth": {"users": 2, "ready": 2, "failed": 0, "CPU seconds a user": 0.875},
        "stock": {"users": 2, "ready": 0, "failed": 2, "CPU seconds a user": 3.0, "most failed with": "time-out"},
    },
}


def playbook(found: dict[str, Any]) -> str:
    return f"""
- hosts: hub
  gather_facts: false
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {{{{ bench_said | combine(bench_asked) }}}}
      vars:
        bench_asked:
          rounds: "{{{{ bench_rounds | default(0) }}}}"
          peer: "{{{{ bench_peer }}}}"
          users: "{{{{ bench_users }}}}"
        bench_said: {json.dumps(found)}
""".replace("msg: {{", 'msg: "{{').replace(") }}\n", ') }}"\n')


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0], 0.95, 3.0), ([1.0, 2.0], 0.5, 1.5), ([5.0, 1.0, 3.0], 0.0, 1.0), ([5.0, 1.0, 3.0], 1.0, 5.0)],
)
def test_quantile(values: list[float], share: float, expected: float) -> None:
    assert quantile(values, share) == expected


def test_a_table_says_how_ours_compares(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", playbook(FOUND))
    result = checkout.run("bench", "spawn", "--rounds", "3")
    assert result.returncode == 0, result.stderr
    rows = {line.split("  ")[0]: line.split() for line in result.stdout.splitlines()}
    assert rows["docker run"][2:] == ["3", "0.500", "0.500", "0.250", "0.500", "2.00", "x"]
    assert rows["berth"][1:] == ["3", "1.000", "3.700", "1.000", "4.000"]
    assert rows["stock"][-2:] == ["0.25", "x"]


KINDS = {
    **FOUND,
    "seconds": {"berth": [1.0], "berth (first cell's output)": [2.0], "stock (first cell's output)": [8.0]},
}


def test_what_is_compared_is_of_the_same_kind(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", playbook(KINDS).replace("first cell's", "first cell''s"))
    lines = checkout.run("bench", "spawn").stdout.splitlines()
    assert [line.endswith("0.25 x") for line in lines[-3:]] == [False, False, True]


MEMORY = {
    "what": "memory",
    "machine": FOUND["machine"],
    "seconds": {},
    "figures": {"berth": {"MB resident": 80.0, "MB by shares": 60.5, "MB in swap": 0.0}},
}


def test_without_seconds_there_is_no_table_of_seconds(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", playbook(MEMORY))
    said = checkout.run("bench", "memory").stdout
    assert "median" not in said
    assert said.splitlines()[-1].split() == ["berth", "80", "60.5", "0"]


def test_json_has_every_figure(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", playbook(FOUND))
    result = checkout.run("bench", "spawn", "--rounds", "7", "--no-peer", "--json")
    assert json.loads(result.stdout) == {"one": FOUND | {"rounds": 7, "peer": False, "users": 50}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["speed"], "spawn"),
        (["spawn", "--rounds", "0"], "--rounds"),
        (["spawn", "--check"], "leave out --check"),
        (["storm", "--users", "0"], "--users"),
        (["install", "-i", "inventory/localhost"], "leave out --inventory"),
        (["spawn", "--plot", "x.jpg"], "ends in .png"),
        (["spawn", "--plot", "nowhere/x.png"], "folder that is there"),
    ],
)
def test_what_cannot_be_measured(checkout: Checkout, arguments: list[str], said: str) -> None:
    result = checkout.run("bench", *arguments)
    assert result.returncode == 2
    assert said in result.stderr


def test_a_storm_says_who_got_in_and_who_did_not(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", playbook(STORM))
    result = checkout.run("bench", "storm", "--users", "2")
    assert result.returncode == 0, result.stderr
    seconds, figures = result.stdout.split("\n\n")
    rows = {line.split("  ")[0]: line.split() for line in seconds.splitlines()}
    assert rows["berth"][1:] == ["2", "1.500", "1.950", "1.000", "2.000"]
    assert rows["stock"][1:] == ["0"]
    rows = {line.split("  ")[0]: line.split() for line in figures.splitlines()}
    assert rows["berth"][1:] == ["2", "2", "0", "0.875"]
    assert rows["stock"][1:] == ["2", "0", "2", "3", "time-out"]


def test_many_figures_stand_below_one_another(checkout: Checkout) -> None:
    fronts = {
        "no front": {"requests/s": 90},
        "berth": {"requests/s": 12, **{f"p{share} ms": share for share in range(7)}},
    }
    checkout.write("playbooks/bench.yml", playbook({**STORM, "seconds": {}, "figures": fronts}))
    shown = checkout.run("bench", "proxy").stdout.splitlines()
    assert shown[-9].split() == ["no", "front", "berth"]
    assert [line.split() for line in shown[-8:-6]] == [["requests/s", "90", "12"], ["p0", "ms", "0"]]


def test_how_often_is_the_benchs_to_say_where_nobody_does(checkout: Checkout) -> None:
    checkout.write("playbooks/bench.yml", playbook(STORM))
    said = json.loads(checkout.run("bench", "storm", "--users", "7", "--json").stdout)["one"]
    assert (said["rounds"], said["users"]) == (0, 7)


SCALE = {
    "what": "scale",
    "machine": FOUND["machine"],
    "seconds": {"berth": [1.0], "berth (a start beside 0)": [1.0, 1.5], "berth (a start beside 100)": [1.0, 2.0]},
}


@pytest.mark.parametrize(
    ("found", "series"), [(FOUND, "berth"), (STORM, "berth"), (SCALE, "berth (a start beside 100)")]
)
def test_a_plot_shows_every_figure(found: dict[str, Any], series: str, tmp_path: Path) -> None:
    file = tmp_path / "found.png"
    plots.draw({"one": found}, file)
    image = file.read_bytes()
    assert image.startswith(b"\x89PNG")
    other = {**found, "seconds": {**found["seconds"], series: [9.0, 2.0]}}
    plots.draw({"one": other}, file)
    assert file.read_bytes() != image


def test_a_plot_of_fronts_shows_what_each_does_in_a_second(tmp_path: Path) -> None:
    images = set()
    for requests, messages in ((4000, 3000), (5000, 3000), (5000, 2000)):
        figures = {"no front, no TLS": {"requests/s": 9000}, "berth": {"requests/s": requests, "messages/s": messages}}
        report = {"what": "proxy", "machine": FOUND["machine"], "seconds": {}, "figures": figures}
        plots.draw({"one": report}, tmp_path / "found.png")
        images.add((tmp_path / "found.png").read_bytes())
    assert len(images) == 3


def test_a_plot_of_memory_shows_what_is_in_swap(tmp_path: Path) -> None:
    images = set()
    for share, swapped in ((60, 0), (70, 0), (60, 10)):
        figures = {"berth": {"MB resident": 80, "MB by shares": share, "MB in swap": swapped}}
        plots.draw({"one": {**MEMORY, "figures": figures}}, tmp_path / "found.png")
        images.add((tmp_path / "found.png").read_bytes())
    assert len(images) == 3


def test_a_plot_of_an_install_shows_each_role(tmp_path: Path) -> None:
    images = set()
    for base, docker in ((1.0, 2.0), (2.0, 1.0)):
        figures = {
            "base": {"once": base},
            "docker": {"once": docker},
            "all": {"once": 3.0},
            "first cell": {"once": 1.0},
        }
        report = {"what": "install", "machine": FOUND["machine"], "seconds": {}, "figures": figures}
        plots.draw({"one": report}, tmp_path / "found.png")
        images.add((tmp_path / "found.png").read_bytes())
    assert len(images) == 2


def test_a_plot_is_drawn_beside_the_table(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write("playbooks/bench.yml", playbook(FOUND))
    result = checkout.run("bench", "spawn", "--plot", str(tmp_path / "x.png"))
    assert "stock" in result.stdout
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
