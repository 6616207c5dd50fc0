"""Ctrl-C and secrets: what is left behind, and what others on the machine can see."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from berth_cli.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Checkout

SITE = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {url: "https://berth.example", admin: anna, password_command: "cat [it]", ca_certificate: /etc/ca.crt}
"""

SLOW = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Take long
      ansible.builtin.command: {command}
"""


LONG = f"sleep 9{os.getpid()}"
"""Known by its command line, which nobody else's run of these tests has."""


def command_lines() -> dict[int, str]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def running(text: str) -> bool:
    return any(line.startswith(text) for line in command_lines().values())


def test_ctrl_c_ends_everything_and_says_how_to_carry_on(checkout: Checkout) -> None:
    checkout.write("playbooks/demo_host.yml", SLOW.format(command=LONG))
    checkout.write("playbooks/site.yml", "[]")
    process = checkout.start("up")
    assert wait_for(lambda: running(LONG))
    caught = descendants(process.pid)
    assert len(caught) >= 3
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "carries on" in errors
    assert [child for child in caught if child.is_alive()] == []
    assert not running(LONG)
    assert list((checkout.base / "tmp").iterdir()) == []


def test_what_a_task_tidies_up_after_ctrl_c_is_waited_for(checkout: Checkout) -> None:
    """Ansible itself ends before that."""
    tidied = checkout.base / "tidied"
    tidy = checkout.write("tidy.sh", f"trap 'kill $!; sleep 1.5; echo > {tidied}; exit' INT TERM\n{LONG} &\nwait\n")
    checkout.write("playbooks/demo_host.yml", SLOW.format(command=f"sh {tidy}"))
    checkout.write("playbooks/site.yml", "[]")
    process = checkout.start("up")
    assert wait_for(lambda: running(LONG))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert tidied.exists()


def test_a_second_ctrl_c_kills_what_will_not_end(checkout: Checkout) -> None:
    stubborn = checkout.write("stubborn.sh", f"trap '' INT TERM\nexec {LONG}\n")
    checkout.write("playbooks/demo_host.yml", SLOW.format(command=f"setsid sh {stubborn}"))
    checkout.write("playbooks/site.yml", "[]")
    process = checkout.start("up")
    assert wait_for(lambda: running(LONG))
    caught = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert wait_for(lambda: not any(child.is_alive() for child in caught))
    assert not running(LONG)


def run_on_terminal(checkout: Checkout, *arguments: str, prompt: str = "", answer: str = "") -> tuple[int, str]:
    checkout.environment |= {"TERM": "xterm", "COLUMNS": "100"}
    outer, inner = pty.openpty()
    process = checkout.start(*arguments, stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    shown = b""
    # Linux says EIO once nobody has the inner side open any more.
    with contextlib.suppress(OSError):
        while chunk := os.read(outer, 4096):
            shown += chunk
            if prompt and prompt.encode() in shown:
                os.write(outer, f"{answer}\n".encode())
                prompt = ""
    process.communicate()
    os.close(outer)
    return process.returncode, shown.decode()


def test_on_a_terminal_progress_is_live_and_ends_clean(checkout: Checkout) -> None:
    checkout.write("playbooks/demo_host.yml", SLOW.format(command="sleep 0.4"))
    checkout.write("playbooks/site.yml", SITE)
    checkout.run("up")
    code, shown = run_on_terminal(checkout, "up")
    assert code == 0
    assert "Take long" in shown
    assert "task 1/1  0 changed" in shown
    assert "1 changed (0:0" in shown
    # The cursor is shown again.
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l") >= 0


def test_ansibles_own_output_is_in_colour_on_a_terminal_and_plain_in_the_log(checkout: Checkout) -> None:
    checkout.write("playbooks/demo_host.yml", SLOW.format(command="sleep 0"))
    checkout.write("playbooks/site.yml", SITE)
    code, shown = run_on_terminal(checkout, "up", "-v")
    assert code == 0
    assert "\x1b[0;33mchanged: [one]" in shown
    log = checkout.logs()[-1].read_text(encoding="utf-8")
    assert "\nchanged: [one]\n" in log
    assert "\x1b" not in log


def test_ansibles_question_for_a_password_is_answered_with_what_was_typed(checkout: Checkout) -> None:
    checkout.write("playbooks/demo_host.yml", SLOW.format(command="sleep 0"))
    checkout.write("playbooks/site.yml", SITE)
    code, shown = run_on_terminal(checkout, "up", "-K", prompt="become password:", answer="hunter2")
    assert code == 0
    assert "1 changed" in shown
    assert "hunter2" not in shown
    log = checkout.logs()[-1].read_text(encoding="utf-8")
    assert "BECOME password" in log
    assert "hunter2" not in log


def test_a_password_is_seen_by_nobody(checkout: Checkout) -> None:
    secret = "pass{{ 6 * 7 }}word"
    checkout.write(
        "playbooks/users.yml",
        """
        - hosts: hub
          gather_facts: false
          tasks:
            - name: Take the password
              ansible.builtin.command:
                cmd: sh -c 'cat > {{ playbook_dir }}/taken; sleep 1'
                stdin: "{{ (jupyterhub_users_wanted | first).password }}"
              when: jupyterhub_users_wanted | length > 0
              no_log: true
            - name: Report
              ansible.builtin.debug:
                msg: {users: [], changed: "{{ jupyterhub_users_wanted | map(attribute='name') }}"}
        """,
    )
    process = checkout.start("users", "add", "anna", "--password-stdin", "-vvvv", stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(f"{secret}\n")
    process.stdin.close()
    process.stdin = None
    seen: set[str] = set()
    modes: set[int] = set()
    while process.poll() is None:
        seen |= set(command_lines().values())
        for path in (checkout.base / "tmp").glob("*/variables.yml"):
            modes |= {path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777}
        time.sleep(0.02)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert any("ansible-playbook" in line and "variables.yml" in line for line in seen)
    assert [line for line in seen if "pass{{" in line] == []
    assert modes <= {0o600, 0o700}
    assert modes
    # It arrived as it was typed, not as the template that it looks like.
    taken = checkout.root / "playbooks" / "taken"
    assert taken.read_text(encoding="utf-8").strip() == secret
    taken.unlink()
    assert "pass{{" not in output + errors
    left = [path for path in checkout.base.rglob("*") if path.is_file() and b"pass{{" in path.read_bytes()]
    assert left == []
    assert list((checkout.base / "tmp").iterdir()) == []
