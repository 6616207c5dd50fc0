"""Backups go to a real server of SFTP, as docs/backup.md says, and come back from it; what is wrong on the way is said.

The server is an sshd of its own on the host: another port, another key, one user who may do nothing but SFTP.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import command_line
import pytest
from command_line import BERTH
from conftest import PROJECT
from hub_client import wait_until
from testinfra.host import Host

INVENTORY = PROJECT / "molecule" / "ssh" / "inventory"
PORT = 8724
REPOSITORY = f"sftp://nas@127.0.0.1:{PORT}/backup"
SIZE_MB = 60
HOME = "/srv/berth/homes/sftp-anna"
HOST_KEY = "/etc/nas/host_key"
KEYGEN = "ssh-keygen -q -t ed25519 -N '' -f"
SSHD_CONFIG = f"""\
Port {PORT}
ListenAddress 127.0.0.1
HostKey {HOST_KEY}
PidFile none
AuthorizedKeysFile /etc/nas/client.pub
AllowUsers nas
PasswordAuthentication no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
ChrootDirectory /srv/nas
"""

# The server does nothing for some seconds once the restore has told how far it is: long enough for it to be asked.
PAUSE = """
until grep -qs MB /var/lib/berth/backup/restoring-*; do sleep 0.05; done
systemctl kill --signal=STOP nas; sleep 8; systemctl kill --signal=CONT nas
"""

Berth = Callable[..., subprocess.CompletedProcess[str]]


def serve(host: Host) -> None:
    """Start the server; it keeps a log of its own, so that the host's tells of nobody but the operator."""
    host.check_output("systemd-run --quiet --unit=nas -- /usr/sbin/sshd -D -f /etc/nas/sshd_config -E /etc/nas/log")
    wait_until(lambda: host.socket(f"tcp://127.0.0.1:{PORT}").is_listening, 20)


@pytest.fixture(scope="module")
def berth(tmp_path_factory: pytest.TempPathFactory) -> Berth:
    """Run `berth` for the host: `berth("backup", "now")`."""
    state = tmp_path_factory.mktemp("state")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return command_line.run(BERTH, *arguments, "-i", str(INVENTORY), state=state)

    return run


def good(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said that has to succeed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def server(host: Host) -> Iterator[dict[str, Any]]:
    """The server; what the role has to be told about it."""
    host.check_output("useradd --system --password='*' --home-dir=/ --no-create-home --shell=/usr/sbin/nologin nas")
    host.check_output("install -d -m 0755 /etc/nas /srv/nas && install -d -o nas -m 0700 /srv/nas/backup")
    host.check_output(f"{KEYGEN} {HOST_KEY} && {KEYGEN} /etc/nas/client")
    host.check_output("printf '%%s' %s >/etc/nas/sshd_config", SSHD_CONFIG)
    # A repository that an earlier run had there is gone for good.
    host.check_output("rm -f /var/lib/berth/backup/repository.json")
    serve(host)
    yield {
        "backup_repository": REPOSITORY,
        "backup_ssh_key": host.check_output("cat /etc/nas/client"),
        # A line of progress comes while there is still much to do.
        "backup_environment": {"RESTIC_PROGRESS_FPS": "20"},
        "backup_ssh_known_hosts": f"[127.0.0.1]:{PORT} {host.check_output(f'cat {HOST_KEY}.pub')}",
    }
    host.check_output("systemctl stop nas nas-pause; userdel nas; rm -r /etc/nas /srv/nas")


@pytest.fixture(scope="module")
def saved(host: Host, berth: Berth, server: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host backs up there, and there is one snapshot with anna's home; what she has in it, as a checksum."""
    path = tmp_path_factory.mktemp("variables") / "sftp.json"
    path.write_text(json.dumps(server))
    good(berth("up", "-t", "backup", "-e", f"@{path}"))
    host.check_output(f"install -d -o 1000 -g 1000 -m 0700 {HOME} && head -c {SIZE_MB}000000 /dev/urandom >{HOME}/data")
    told = good(berth("backup", "now"))
    assert ": snapshot " in told
    yield host.check_output(f"sha256sum <{HOME}/data")
    host.check_output(f"rm -r {HOME}")
    good(berth("up", "-t", "backup"))


def test_a_snapshot_goes_there_and_is_listed_and_sound(host: Host, berth: Berth, saved: str) -> None:
    assert "Accepted publickey for nas" in host.check_output("cat /etc/nas/log")
    assert int(host.check_output("find /srv/nas/backup/data -type f -user nas | wc -l")) > 0
    (snapshot,) = json.loads(good(berth("backup", "list", "--json")))["berth-ssh"]
    told = good(berth("backup", "verify"))
    assert "the repository is sound; 100 % of its data was read" in told
    assert snapshot["id"] in host.check_output("ls /srv/nas/backup/snapshots")


def test_a_home_comes_back_from_there(host: Host, berth: Berth, saved: str) -> None:
    host.check_output(f"echo spoilt >{HOME}/data")
    host.check_output("systemd-run --quiet --unit=nas-pause -- sh -c %s", PAUSE)
    told = good(berth("restore", "--user", "sftp-anna"))
    assert "sftp-anna has snapshot" in told
    assert re.search(rf"sftp-anna: \d+ %: \d+ of \d+ files, \d+ of {SIZE_MB} MB", told), told
    assert host.check_output(f"sha256sum <$(echo {HOME}/restored-*/data)") == saved


def test_a_drill_can_be_packed_from_there(host: Host, saved: str) -> None:
    program = "env PYTHONPATH=/opt/berth/lib python3 -m berth_backup drill"
    packed = json.loads(host.check_output(f"{program} pack latest 0:0"))
    assert host.file(f"{packed['folder']}/repository.tar").size > SIZE_MB * 10**6
    host.check_output(f"{program} end")


def refused(berth: Berth) -> str:
    """What is said by a backup that has to fail, in one line."""
    done = berth("backup", "now")
    assert done.returncode != 0, done.stdout
    return " ".join(done.stderr.split())


def test_another_key_of_the_server_is_refused_by_its_variable(host: Host, berth: Berth, saved: str) -> None:
    logged = host.check_output("grep -c Accepted /etc/nas/log")
    host.check_output(f"systemctl stop nas; mkdir /etc/nas/true; mv {HOST_KEY}* /etc/nas/true; {KEYGEN} {HOST_KEY}")
    serve(host)
    try:
        said = refused(berth)
        fingerprint = host.check_output(f"ssh-keygen -l -f {HOST_KEY}").split()[1]
    finally:
        host.check_output("systemctl stop nas; mv /etc/nas/true/* /etc/nas/; rmdir /etc/nas/true")
        serve(host)
    assert REPOSITORY in said
    assert f"127.0.0.1 has another key ({fingerprint}) than backup_ssh_known_hosts says" in said
    assert host.check_output("grep -c Accepted /etc/nas/log") == logged, "nobody logged in to whoever that was"


def test_a_server_that_is_down_is_told_and_loud_until_it_is_back(host: Host, berth: Berth, saved: str) -> None:
    host.check_output("systemctl stop nas")
    try:
        said = refused(berth)
        status = berth("status")
    finally:
        serve(host)
    assert f"{REPOSITORY} is not reached" in said
    assert "Connection refused" in said
    assert status.returncode == 3
    assert "Connection refused" in " ".join(status.stdout.split())
    good(berth("backup", "now"))
    good(berth("status"))
