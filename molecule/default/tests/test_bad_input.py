"""Mistakes in the inventory are refused by name, with what is allowed, and nothing on the host is touched."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from converging import refusal
from testinfra.host import Host

PROJECT = Path(__file__).resolve().parents[3]

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "memory": ({"jupyterhub_berth_memory": "12X"}, ["jupyterhub_berth_memory", '"12X"', "a number with K, M, G or T"]),
    "kind": ({"jupyterhub_berth_pids": "many"}, ["jupyterhub_berth_pids", "'many'", "a whole number"]),
    "range": ({"jupyterhub_berth_pids": 3}, ["jupyterhub_berth_pids", "greater than or equal to 32"]),
    "undefined": (
        {"jupyterhub_berth_memory": "{{ not_there }}"},
        ["jupyterhub_berth_memory", "'not_there' is undefined"],
    ),
    "empty": ({"jupyterhub_admins": []}, ["jupyterhub_admins", "set jupyterhub_admins"]),
    "user": ({"jupyterhub_admins": ["../x"]}, ["jupyterhub_admins", "'../x'", 'holds a "/"']),
    "unknown": (
        {"jupyterhub_berth_memroy": "2G", "proxy_htps_port": 1},
        ["did you mean jupyterhub_berth_memory?", "did you mean proxy_https_port?"],
    ),
    "image": (
        {"notebook_image_from": "x", "notebook_image_packages": ["a"]},
        ["notebook_image_from", "notebook_image_packages", "leave notebook_image_from empty"],
    ),
    "ports": ({"proxy_https_port": 8580}, ["proxy_https_port and proxy_http_port are both 8580"]),
    "folder": ({"shared_notebooks_source": "/nowhere"}, ["shared_notebooks_source is /nowhere", "does not exist"]),
    "backup": (
        {"backup_repository": "/var/lib/berth/backup", "backup_keep_last": 0, "backup_password": "too-short"},
        ["backup_repository is /var/lib/berth/backup", "backup_keep_last is 0", "backup_password", "16 characters"],
    ),
    "sftp": ({"backup_repository": "sftp:a@b:/c"}, ["set backup_ssh_key and backup_ssh_known_hosts"]),
    "when": ({"backup_calendar": "at night"}, ["backup_calendar (at night)", "no moment that systemd understands"]),
    "quota": ({"user_homes_quota": "10X"}, ["user_homes_quota is 10X", "a number with M, G or T"]),
    "loop": (
        {"user_homes_storage": "loop", "user_homes_snapshots_kept": 0},
        ["user_homes_storage_size is empty", "a number with M", "user_homes_snapshots_kept is 0", "from 1 to 1000"],
    ),
    "nothing": ({"shared_notebooks_source": "EMPTY"}, ["shared_notebooks_source is", "has no notebook"]),
    "git": (
        {"shared_notebooks_source": "https://me:hidden@127.0.0.1:9/x.git"},
        ["shared_notebooks_source is https://***@127.0.0.1:9/x.git", "cannot read"],
    ),
    "held": (
        {"proxy_https_port": 8777},
        ["Port 8777", "in use by python3 (pid", "set proxy_https_port to another port"],
    ),
    "small": ({"preflight_memory_min_mb": 99999999}, ["MB of memory: at least 99999999 MB (preflight_memory_min_mb)"]),
    "full": (
        {"preflight_disk_spare_mb": 99999999},
        ["MB free below /var/lib", "99999999 MB (preflight_disk_spare_mb)"],
    ),
}
"""What the inventory says, and what the refusal has to."""


def snapshot(host: Host) -> str:
    """Everything that Berth has brought to the host, and what runs there."""
    found: str = host.check_output(
        "find /etc/berth /etc/systemd/system /etc/docker /opt/berth -not -name __pycache__ -not -name '*.pyc'"
        " -printf '%p %m %U %G %T@ %s\\n' | sort; docker image ls --quiet --no-trunc | sort;"
        " systemctl show --property=MainPID,ActiveEnterTimestamp berth-hub berth-proxy docker"
    )
    return found


@pytest.fixture(scope="module")
def answers(host: Host) -> dict[str, str]:
    """What each case is told: one run, in which each is a host of its own that leads to the platform."""
    server = "python3 -m http.server 8777 --bind 127.0.0.1 --directory /var/empty >/dev/null 2>&1 & echo $!"
    host.check_output("mkdir -p /var/empty")
    pid = host.check_output(server)
    before = snapshot(host)
    with tempfile.TemporaryDirectory() as folder:
        shared = {
            "ansible_connection": "community.docker.docker",
            "ansible_user": "root",
            "ansible_host": os.environ["BERTH_DEMO_NAME"],
            "proxy_https_port": int(os.environ["BERTH_DEMO_HTTPS_PORT"]),
            "proxy_http_port": 8580,
        }
        empty = Path(folder, "empty")
        empty.mkdir()
        text = json.dumps(
            {"hub": {"vars": shared, "hosts": {name: variables for name, (variables, _) in CASES.items()}}}
        )
        inventory = Path(folder, "hosts.yml")
        inventory.write_text(text.replace('"EMPTY"', json.dumps(str(empty))))
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), f"--inventory={inventory}", "playbooks/site.yml"],
            cwd=PROJECT,
            env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    host.check_output(f"kill {pid}")
    assert re.findall(r"changed=[1-9]", done.stdout) == [], done.stdout[-4000:]
    assert snapshot(host) == before
    found = re.findall(r"(?ms)^fatal: \[(\w+)\]: FAILED! =>(.*?)(?=^\S|\Z)", done.stdout)
    return {name: " ".join(said.split()) for name, said in found}


@pytest.mark.parametrize("case", CASES)
def test_refused_by_name_before_anything_changes(answers: dict[str, str], case: str) -> None:
    assert case in answers, "it was not refused"
    # YAML writes a quotation mark within quotation marks twice.
    said = answers[case].replace("''", "'").replace('\\"', '"')
    for part in CASES[case][1]:
        assert part in said
    assert "hidden" not in said


def test_variables_of_the_command_line_too(host: Host) -> None:
    before = snapshot(host)
    said = refusal(variables={"notebook_image_pakages": ["x"]}, tags=["proxy"])
    assert "did you mean notebook_image_packages?" in said
    assert snapshot(host) == before
