"""What is wrong about a host is said in a paragraph, with what to do, by Ansible's exit code; nothing is changed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import command_line
import pytest
from command_line import BERTH, PLAYBOOK
from conftest import PLATFORM, PROJECT
from testinfra.host import Host

INVENTORY = PROJECT / "molecule" / "ssh" / "inventory"
BARE = "berth-ssh-bare"
# Connections that other runs have left open would not ask for what is wrong here.
ALONE = {"ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o ControlPath=none"}
TRACES = (
    "dpkg-query --show | sha256sum; find /etc/berth /opt/berth /etc/systemd/system /usr/local/sbin /etc/docker /etc/apt"
    " -type f -printf '%p %s %T@\\n' 2>/dev/null | LC_ALL=C sort | sha256sum"
)


@dataclass
class Answer:
    """What the command line and plain Ansible ended with."""

    code: int
    plain_code: int
    said: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Provision with more options, by the command line and by plain Ansible."""

    def run(*options: str, inventory: Path | str = INVENTORY) -> Answer:
        more = ("-i", str(inventory), *options)
        plain = command_line.run(PLAYBOOK, *more, "playbooks/site.yml", state=tmp_path, more_env=ALONE, seconds=240)
        berth = command_line.run(BERTH, "up", *more, state=tmp_path, more_env=ALONE, seconds=240)
        return Answer(berth.returncode, plain.returncode, " ".join(berth.stderr.split()))

    return run


@pytest.fixture
def unchanged(host: Host) -> Iterator[None]:
    """The host is afterwards as it was before."""
    before = host.check_output(TRACES)
    yield
    assert host.check_output(TRACES) == before


@pytest.fixture(scope="module")
def bare(host: Host) -> Iterator[str]:
    """A container of the platform's own image, in which no systemd runs; its name."""
    image = subprocess.run(
        ["docker", "inspect", "--format={{.Config.Image}}", PLATFORM], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(["docker", "rm", "--force", BARE], check=False, capture_output=True)
    subprocess.run(
        ["docker", "run", "--detach", "--init", "--name", BARE, "--entrypoint", "sleep", image, "infinity"],
        check=True,
        capture_output=True,
    )
    yield BARE
    subprocess.run(["docker", "rm", "--force", BARE], check=True, capture_output=True)


@pytest.fixture
def bare_inventory(bare: str, tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    settings = "{ansible_connection: community.docker.docker, ansible_user: root}"
    path.write_text(f"hub: {{hosts: {{{bare}: {settings}}}}}\n")
    return path


def traces_of(container: str) -> str:
    return subprocess.run(
        ["docker", "exec", container, "sh", "-c", TRACES], check=True, capture_output=True, text=True
    ).stdout


def said_well(answer: Answer, *words: str) -> None:
    assert answer.code == answer.plain_code != 0
    for word in words:
        assert word in answer.said
    assert "Traceback" not in answer.said


@pytest.mark.usefixtures("unchanged")
def test_closed_port(ask: Ask) -> None:
    said_well(ask("-e", "ansible_port=1"), "berth-ssh could not be reached", "port 1", "ansible_port")


@pytest.mark.usefixtures("unchanged")
def test_unknown_host_key(ask: Ask) -> None:
    files = "-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null"
    options = f"-o HostName=127.0.0.1 {files} -o StrictHostKeyChecking=yes"
    said_well(
        ask("-e", f"ansible_ssh_common_args='{options}'"), "berth-ssh could not be reached", "key is not known", "ssh "
    )


@pytest.mark.usefixtures("unchanged")
def test_wrong_user(ask: Ask) -> None:
    said_well(ask("-e", "ansible_user=somebody"), "berth-ssh could not be reached", "somebody@", "ansible_user")


@pytest.mark.usefixtures("unchanged")
def test_wrong_become_password(ask: Ask) -> None:
    answer = ask("-e", "ansible_become_password=wrong")
    said_well(answer, "berth-ssh", "sudo refused the password", "-K", "ansible_become_password")


@pytest.mark.usefixtures("unchanged")
def test_missing_become_password(ask: Ask) -> None:
    said_well(ask("-e", '{"ansible_become_password": null}'), "berth-ssh", "-K", "ansible_become_password")


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """An inventory like this scenario's, with an encrypted file; its password is in `password` beside it."""
    (tmp_path / "password").write_text("right\n")
    (tmp_path / "wrong").write_text("wrong\n")
    folder = tmp_path / "site"
    (folder / "group_vars" / "hub").mkdir(parents=True)
    (folder / "hosts.yml").write_text((INVENTORY / "hosts.yml").read_text())
    secret = folder / "group_vars" / "hub" / "vault.yml"
    secret.write_text("jupyterhub_idle_seconds: 3600\n")
    program = Path(sys.executable).parent / "ansible-vault"
    subprocess.run(
        [program, "encrypt", "--vault-password-file", tmp_path / "password", secret], check=True, capture_output=True
    )
    return folder


@pytest.mark.usefixtures("unchanged")
def test_vault_without_its_password(ask: Ask, vault: Path) -> None:
    said_well(ask(inventory=vault), "vault.yml", "--vault-password-file FILE")


@pytest.mark.usefixtures("unchanged")
def test_vault_with_a_wrong_password(ask: Ask, vault: Path) -> None:
    answer = ask("--vault-password-file", str(vault.parent / "wrong"), inventory=vault)
    said_well(answer, "vault.yml", "is not the one that the file was encrypted with")


@pytest.mark.usefixtures("unchanged")
def test_vault_password_file_that_is_not_there(ask: Ask, vault: Path) -> None:
    answer = ask("--vault-password-file", str(vault.parent / "nowhere"), inventory=vault)
    said_well(answer, str(vault.parent / "nowhere"), "not found")


@pytest.mark.usefixtures("unchanged")
def test_inventory_that_is_not_there(ask: Ask) -> None:
    answer = ask(inventory="inventory/nowhere")
    assert answer.plain_code != 0
    assert answer.code == 2
    assert 'inventory "inventory/nowhere" not found' in answer.said
    assert "copy inventory/example" in answer.said


def test_host_without_systemd(ask: Ask, bare: str, bare_inventory: Path) -> None:
    before = traces_of(bare)
    said_well(ask(inventory=bare_inventory), bare, "must have been started by systemd")
    assert traces_of(bare) == before


def test_another_operating_system(ask: Ask, bare: str, bare_inventory: Path) -> None:
    release = 'PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\nID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="11"\n'
    script = f"printf '{release}' >/usr/lib/os-release; echo 11.11 >/etc/debian_version"
    subprocess.run(["docker", "exec", bare, "sh", "-c", script], check=True, capture_output=True)
    before = traces_of(bare)
    said_well(ask(inventory=bare_inventory), f"{bare} runs Debian 11", "Debian 12 or 13")
    assert traces_of(bare) == before


def test_check_of_a_provisioned_host_changes_nothing(host: Host, unchanged: None, tmp_path: Path) -> None:
    options = ("-i", str(INVENTORY), "-e", "jupyterhub_idle_seconds=3333")
    result = command_line.run(BERTH, "check", *options, state=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "berth-ssh has a hub, and passed all checks." in result.stdout
    assert "3333" in result.stdout  # --diff shows what would change
    assert " would change; nothing was changed" in result.stdout
