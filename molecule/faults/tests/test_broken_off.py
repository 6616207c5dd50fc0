"""Converges that are killed on the way, at random tasks: the next makes good, and the one after changes nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from converging import PROJECT, assert_converges_to_nothing, converge
from hub_client import HubClient, wait_until
from testinfra.host import Host

KILLS = 10
TAGS = ["user_homes", "broker", "jupyterhub", "proxy"]
SEED = int(os.environ.get("BERTH_FAULTS_SEED", str(random.SystemRandom().randrange(10**6))))

TASKS = 100
"""About as many as a converge of these roles has."""

LACKING = (
    "/etc/systemd/system/berth-hub.service",
    "/opt/berth/lib/berth_hub/spawner.py",
    "/opt/berth/lib/berth_dock/policy.py",
    "/etc/berth/proxy/traefik.yml",
    "/var/lib/berth/routes/berth.yaml",
    "/etc/berth/hub.json",
)
"""What is taken away before: every run has something to do, and something to leave half done."""


def killed_at(task: int, after: float) -> bool:
    """Converge, and kill all of it so many seconds after a task has begun; returns whether it was at work still."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "ANSIBLE_FORCE_COLOR": "false",
    }
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "--inventory=inventory/demo",
        f"--tags={','.join(TAGS)}",
        "playbooks/site.yml",
    ]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout
        begun = 0
        for line in running.stdout:
            begun += line.startswith(("TASK [", "RUNNING HANDLER ["))
            if begun == task:
                print(line.strip())
                break
        time.sleep(after)
        at_work = running.poll() is None
        os.killpg(running.pid, signal.SIGKILL)
    return at_work


def test_a_converge_that_is_killed_on_the_way_is_made_good_by_the_next(host: Host, hub: HubClient) -> None:
    chance = random.Random(SEED)  # noqa: S311 (chance, not secrecy)
    print(f"BERTH_FAULTS_SEED={SEED}")
    killed = 0
    for task in sorted(chance.sample(range(10, TASKS), KILLS)):
        host.check_output("rm -f " + " ".join(chance.sample(LACKING, 3)))
        killed += killed_at(task, chance.uniform(0, 1))
    assert killed == KILLS
    converge(tags=TAGS)
    wait_until(hub.healthy)
    assert all(host.file(path).exists for path in LACKING)
    assert host.check_output("systemctl list-units --state=failed --plain --no-legend") == ""
    assert_converges_to_nothing(tags=TAGS)
