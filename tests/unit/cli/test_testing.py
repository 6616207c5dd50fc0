"""``berth test``: what it counts, and that nothing passes for want of a test."""

from __future__ import annotations

import io
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from berth_cli import testing
from berth_cli.processes import descendants
from berth_cli.project import Project
from berth_cli.results import Count, Results, read_results
from berth_cli.stages import Stage, Step, plan, shell_scripts
from tests.unit.cli.conftest import CHECKOUT

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

PLAYBOOK = "- {hosts: hub, gather_facts: false, tasks: []}\n"


def test_tests_of_all_stages_are_counted_in_the_last_line(checkout: Checkout) -> None:
    checkout.write("tests/unit/test_it.py", "def test_a(): pass\ndef test_b(): assert 6 == 7\n")
    checkout.write("playbooks/fine.yml", PLAYBOOK)
    checkout.write("playbooks/broken.yml", "- {hosts: hub, no_such_key: 1}\n")
    result = checkout.run("test", "--only", "unit", "--only", "syntax")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "2 passed, 2 failed"
    assert "assert 6 == 7" in result.stdout
    assert "no_such_key" in result.stdout
    assert "syntax/broken: exit code" in result.stdout


def test_success_and_skipped_tests(checkout: Checkout) -> None:
    checkout.write("tests/unit/test_it.py", "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('no')\n")
    result = checkout.run("test", "--only", "unit")
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == "1 passed, 0 failed, 1 skipped"


@pytest.mark.parametrize("test_file", [None, "def helper(): pass\n", "import no_such_module\n"])
def test_a_stage_without_tests_fails(checkout: Checkout, test_file: str | None) -> None:
    if test_file:
        checkout.write("tests/unit/test_it.py", test_file)
    result = checkout.run("test", "--only", "unit")
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "0 passed, 1 failed"


def test_no_playbook_is_no_success(checkout: Checkout) -> None:
    result = checkout.run("test", "--only", "syntax")
    assert result.returncode == 1
    assert "ran no test" in result.stdout


def test_scenarios_are_not_run_for_playbooks_that_cannot_be_read(checkout: Checkout) -> None:
    checkout.write("playbooks/broken.yml", "- {hosts: hub, no_such_key: 1}\n")
    for name in ("default", "other"):
        checkout.write(f"molecule/{name}/molecule.yml", "{}")
    result = checkout.run("test", "--only", "syntax", "--only", "molecule")
    assert result.stdout.splitlines()[-1] == "0 passed, 3 failed"
    assert "molecule: not run, since syntax failed" in result.stdout


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


def run_step(root: Path, script: str, *, is_test: bool = True) -> tuple[Count, str]:
    shown = io.StringIO()
    step = Step("one", ["sh", "-c", script], root / "test-results" / "one.xml", is_test=is_test)
    count = testing.Run(Project(root), Console(file=shown)).run([Stage("stage", [step])])
    return count, shown.getvalue()


XML = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><skipped/></testcase>{more}
</testsuite></testsuites>"""


def test_a_step_counts_beside_its_own_tests(tmp_path: Path) -> None:
    write = f"echo '{XML.format(more='')}' >\"$BERTH_TEST_RESULTS/one.xml\""
    assert run_step(tmp_path, write)[0] == Count(2, 0, 1)
    assert run_step(tmp_path, f"{write}; exit 1")[0] == Count(1, 1, 1)
    assert run_step(tmp_path, f"{write}; exit 1", is_test=False)[0] == Count(1, 1, 1)
    failure = XML.format(more='<testcase name="c"><failure/></testcase>')
    assert run_step(tmp_path, f"echo '{failure}' >test-results/one.xml; exit 1")[0] == Count(1, 2, 1)
    assert run_step(tmp_path, f"echo '{failure}' >test-results/one.xml; exit 1", is_test=False)[0] == Count(1, 1, 1)


def test_results_of_the_run_before_do_not_count(tmp_path: Path) -> None:
    run_step(tmp_path, f"echo '{XML.format(more='')}' >test-results/one.xml")
    count, shown = run_step(tmp_path, "true")
    assert count == Count(0, 1)
    assert "ran no test" in shown


def test_a_failed_step_shows_the_end_of_its_output_and_where_the_rest_is(tmp_path: Path) -> None:
    _, shown = run_step(tmp_path, "seq 1000; echo [the] reason >&2; exit 9")
    assert "[the] reason" in shown
    assert "999" in shown
    assert "\n 1\n" not in shown
    assert "stage/one: exit code 9 (test-results/stage-one.log)" in shown


def test_a_step_that_broke_down_before_its_tests_says_why_at_the_end(tmp_path: Path) -> None:
    _, shown = run_step(
        tmp_path,
        "echo 'fatal: [hub]: no, and ignored'; seq 20; echo 'fatal: [hub]: FAILED! =>'; echo '    msg: no route';"
        " seq -f 'tidying up %g' 100; exit 2",
    )
    end = shown[shown.index("stage/one: exit code 2") :]
    assert "msg: no route" in end
    assert "ignored" not in end
    assert "tidying up 9\n" not in end


def test_a_program_that_raised_says_what_at_the_end(tmp_path: Path) -> None:
    _, shown = run_step(tmp_path, "seq -f 'File %g' 100; echo 'FileNotFoundError: no such folder'; echo; exit 1")
    end = shown[shown.index("stage/one: exit code 1") :]
    assert "  FileNotFoundError: no such folder\n" in end
    assert "File 9\n" not in end


def test_a_step_finds_what_it_is_given(tmp_path: Path) -> None:
    step = Step("one", ["sh", "-c", 'test "$GIVEN" = it && test -n "$BERTH_TEST_RESULTS"'], environment={"GIVEN": "it"})
    stage = Stage("stage", [step])
    assert testing.Run(Project(tmp_path), Console(file=io.StringIO())).run([stage]) == Count(1)


def test_scenarios_at_once_share_no_folder_of_ansibles() -> None:
    (stage,) = plan(Project(CHECKOUT), ["molecule"])
    assert stage.at_once > 1
    assert len({step.environment["ANSIBLE_HOME"] for step in stage.steps}) == len(stage.steps)


def test_a_failed_test_is_shown_with_its_reason_whatever_came_after_it(tmp_path: Path) -> None:
    report = "".join(f"line {number}\n" for number in range(100)) + "E  assert 6 == 7"
    failure = f'<failure message="AssertionError: odd&#10;assert 6 == 7">{report}</failure>'
    (tmp_path / "more.xml").write_text(
        XML.format(more=f'<testcase classname="tests.test_it" name="test_c">{failure}</testcase>'), encoding="utf-8"
    )
    _, shown = run_step(tmp_path, "cp more.xml test-results/one.xml; seq -f 'tidying up %g' 1000; exit 1")
    assert "E  assert 6 == 7" in shown
    assert "line 10\n" not in shown
    assert "tidying up" not in shown
    assert shown.splitlines()[-2].strip() == "stage/one: exit code 1 (test-results/stage-one.log)"
    assert shown.splitlines()[-1].strip() == "tests.test_it::test_c: AssertionError: odd"


def test_a_program_that_is_not_there_fails(tmp_path: Path) -> None:
    shown = io.StringIO()
    stage = Stage("stage", [Step("one", ["no-such-program"])])
    assert testing.Run(Project(tmp_path), Console(file=shown)).run([stage]) == Count(failed=1)
    assert "no-such-program: No such file" in shown.getvalue()


def test_long_steps_give_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "STILL_RUNNING_SECONDS", 0.3)
    _, shown = run_step(tmp_path, "echo step 4 of 9; sleep 1")
    assert "still running  one  0:00  step 4 of 9" in shown


def test_ctrl_c_ends_the_tests_and_what_they_started(checkout: Checkout) -> None:
    checkout.write(
        "tests/unit/test_it.py",
        """
        import subprocess
        def test_a():
            subprocess.run(["setsid", "sh", "-c", "trap '' INT; sleep 96543"])
        """,
    )
    process = checkout.start("test", "--only", "unit")
    while not (caught := [child for child in descendants(process.pid) if "96543" in command_line(child.pid)]):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert 'stopped in "unit"' in errors
    time.sleep(0.2)
    assert [child for child in caught if child.is_alive()] == []


def test_an_unknown_scenario_is_refused_with_the_known_ones(checkout: Checkout) -> None:
    checkout.write("molecule/default/molecule.yml", "{}")
    result = checkout.run("test", "--scenario", "defualt")
    assert result.returncode == 2
    assert '"defualt"' in result.stderr
    assert "default" in result.stderr


def test_a_chosen_scenario_leaves_other_stages_whole(checkout: Checkout) -> None:
    checkout.write("playbooks/fine.yml", PLAYBOOK)
    for name in ("default", "other"):
        checkout.write(f"molecule/{name}/molecule.yml", "{}")
    planned = plan(Project(checkout.root), ["syntax", "molecule"], ["default"])
    assert [(stage.name, [step.name for step in stage.steps]) for stage in planned] == [
        ("syntax", ["fine"]),
        ("molecule", ["default"]),
    ]


def test_shell_scripts_are_known_by_suffix_or_first_line(tmp_path: Path) -> None:
    for name, line in {
        "run": "#!/usr/bin/env bash",
        "lib.sh": "",
        ".ci/run": "#!/bin/sh",
        "py": "#!/usr/bin/python3",
        "template.sh.j2": "#!/bin/sh",
        ".venv/bin/activate.sh": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(line, encoding="utf-8")
    assert [str(path.relative_to(tmp_path)) for path in shell_scripts(tmp_path)] == [".ci/run", "lib.sh", "run"]


def test_broken_results_count_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_text("<testsuite><testcase", encoding="utf-8")
    assert read_results(tmp_path / "x.xml") == Results()


def test_steps_of_a_stage_run_at_once_as_far_as_it_allows(tmp_path: Path) -> None:
    """Each of two steps waits until the other one has begun: one after the other, none would end well."""
    script = 'touch "began-$0"; for _ in $(seq 100); do [ -e "began-$1" ] && exit 0; sleep 0.1; done; exit 1'
    steps = [Step(name, ["sh", "-c", script, name, other]) for name, other in (("a", "b"), ("b", "a"))]
    count = testing.Run(Project(tmp_path), Console(file=io.StringIO())).run([Stage("stage", steps, at_once=2)])
    assert count == Count(passed=2)
