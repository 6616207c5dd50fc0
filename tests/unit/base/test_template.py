"""Files that roles write: one that is right is not asked about, and one that is not is written as by `template`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[3]
LOOK = (PROJECT / "roles" / "base" / "files" / "look.sh").read_text()


class Site:
    """A role that writes one file of this machine, by base_template."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.file = base / "written" / "settings.conf"
        (base / "written").mkdir()
        (base / "laid").mkdir()
        (base / "settings.j2").write_text("{{ ansible_managed | comment }}\nname: {{ name }}\n")

    def converge(self, *options: str, name: str = "first", look: bool = True) -> str:
        """Return what Ansible says."""
        owner, group = (self.base.owner(), self.base.group())
        wanted = {"src": str(self.base / "settings.j2"), "dest": str(self.file)}
        wanted |= {"owner": owner, "group": group, "mode": "0640"}
        argv = ["/bin/sh", "-s", str(self.base / "laid"), str(self.base / "reads"), str(self.file.parent)]
        looking: dict[str, Any] = {
            "ansible.builtin.command": {"argv": argv, "stdin": LOOK},
            "register": "__base_files_look",
            "changed_when": False,
            "check_mode": False,
        }
        tasks: list[dict[str, Any]] = [*([looking] if look else []), {"base_template": wanted}]
        play = {"hosts": "localhost", "gather_facts": False, "vars": {"name": name}, "tasks": tasks}
        (self.base / "play.yml").write_text(json.dumps([play]))
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), "-ilocalhost,", "-clocal", "play.yml", *options],
            cwd=self.base,
            env={
                **os.environ,
                "ANSIBLE_ACTION_PLUGINS": str(PROJECT / "roles" / "base" / "action_plugins"),
                "ANSIBLE_HOME": str(self.base / "ansible"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "failed=0" in done.stdout, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    assert "changed=1" in site.converge()
    assert site.file.read_text() == "#\n# Ansible managed\n#\nname: first\n"
    assert site.file.stat().st_mode & 0o777 == 0o640
    return site


def test_what_is_right_is_not_asked_about(site: Site) -> None:
    before = site.file.stat()
    assert "checksum" in site.converge("-v", look=False)
    found = site.converge("-v")
    assert "changed=0" in found
    # `template` would tell the checksum that it asked for.
    assert '"checksum"' not in found
    assert site.file.stat() == before


def test_another_content_or_mode_is_set_right_and_a_dry_run_shows_it(site: Site) -> None:
    dry = site.converge("--check", "--diff", name="second")
    assert "changed=1" in dry
    assert "-name: first\n+name: second\n" in dry
    assert "name: first" in site.file.read_text()
    site.file.chmod(0o600)
    assert "changed=1" in site.converge()
    assert site.file.stat().st_mode & 0o777 == 0o640
    assert "changed=1" in site.converge(name="third")
    assert "name: third" in site.file.read_text()
    assert "changed=1" in site.converge()
