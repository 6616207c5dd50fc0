"""Somebody hostile has a shell in a berth, as every user has."""

import json
from collections.abc import Callable, Iterator
from http.client import FORBIDDEN, OK
from typing import Any

import pytest
from hub_client import HubClient
from testinfra.host import Host

InBerth = Callable[[str, str], Any]
Python = Callable[[str], str]


@pytest.fixture
def python(people: tuple[str, str], in_berth: InBerth) -> Python:
    """Run Python in alice's berth; returns what it prints."""

    def run(code: str) -> str:
        quoted = code.replace("'", "'\"'\"'")
        found = in_berth("alice", f"python3 -c '{quoted}'")
        assert found.rc == 0, found.stderr
        return str(found.stdout.strip())

    return run


def test_home_shared_memory_and_temporary_files_are_all_there_is_to_write(python: Python) -> None:
    code = """
import os
found = []
for place, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(place, f) not in ("/proc", "/sys", "/home/jovyan")]
    try:
        os.close(os.open(place, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError:
        continue
    found.append(place)
    folders.clear()
print(*sorted(found))
"""
    assert python(code).split() == ["/dev/shm", "/tmp", "/var/tmp"]  # noqa: S108 (the container's)


SYSTEM_CALLS = {
    "become root": "os.setuid(0)",
    "join another group": "os.setgroups([0])",
    "mount": 'c.mount(b"none", b"/tmp", b"tmpfs", 0, None)',
    "mount again to write": 'c.mount(None, b"/", None, 32, None)',
    "unmount": 'c.umount2(b"/opt/berth/shared", 0)',
    "a name space of users": "c.unshare(0x10000000)",
    "a name space of mounts": "c.unshare(0x00020000)",
    "a name space of networks": "c.unshare(0x40000000)",
    "enter init's name space": 'c.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0)',
    "a device": 'os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0))',
    "another root": 'os.chroot("/tmp")',
    "raw packets": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "frames": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)",
    "the clock": "time.clock_settime(time.CLOCK_REALTIME, 0)",
    "the host's name": 'socket.sethostname("x")',
    "a kernel module": 'c.syscall(313, 0, b"", 0)',
    "eBPF": "c.syscall(321, 0, 0, 0)",
    "keys of the kernel's": 'c.syscall(248, b"user", b"x", b"y", 1, -3)',
    "performance counters": "c.syscall(298, 0, 0, -1, -1, 0)",
    "user faults": "c.syscall(323, 0)",
    "kernel settings": 'open("/proc/sys/kernel/core_pattern", "w").write("|/x")',
    "magic keys": 'open("/proc/sysrq-trigger", "w").write("b")',
    "memory of the kernel": 'open("/proc/kcore", "rb").read(1)',
    "the kernel's messages": 'open("/dev/kmsg").read(1)',
    "a cgroup's release agent": 'open("/sys/fs/cgroup/memory/release_agent", "w").write("/x")',
    "a disk": 'open("/dev/sda", "rb").read(1)',
}


@pytest.mark.parametrize("attempt", SYSTEM_CALLS)
def test_what_only_root_may(python: Python, attempt: str) -> None:
    code = f"""
import ctypes, os, socket, time
c = ctypes.CDLL(None, use_errno=True)
try:
    print("done" if {SYSTEM_CALLS[attempt]} != -1 else "refused " + os.strerror(ctypes.get_errno()))
except OSError as error:
    print("refused", error)
"""
    assert python(code).startswith("refused")


def test_no_program_gives_more(people: tuple[str, str], in_berth: InBerth) -> None:
    """Programs with the set-user-ID bit run as who starts them."""
    assert "uid=" not in in_berth("alice", "su -c id root </dev/null; echo id | newgrp root").stdout
    code = "find / -xdev -perm /6000 -type f 2>/dev/null; grep NoNewPrivs /proc/self/status"
    assert in_berth("alice", code).stdout.split()[-1] == "1"


def test_no_secret_of_hub_or_proxy_is_inside(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    """Each secret of the host is looked for in what a berth can read: files, and the environments of processes."""
    secrets = host.check_output("cat /etc/berth/secrets/*; grep -h -v -e ---- /etc/berth/tls/*.key").split()
    assert len(secrets) > 10
    patterns = "\n".join(secret for secret in secrets if len(secret) > 11)
    place = "/srv/berth/homes/alice/.patterns"
    host.check_output("printf %s %s >%s && chown 1000 %s", "%s\n", patterns, place, place)
    try:
        look = "grep -rlaFf ~/.patterns /etc /opt /home /tmp /var /run /usr/local /proc/[0-9]*/environ 2>/dev/null"
        assert in_berth("alice", look).stdout.split() == ["/home/jovyan/.patterns"]
    finally:
        host.check_output("rm %s", place)


def test_the_token_of_a_server_is_for_its_own_user(hub: HubClient, python: Python) -> None:
    code = """
import json, os, urllib.error, urllib.request
def ask(method, path, body=None):
    request = urllib.request.Request(os.environ["JUPYTERHUB_API_URL"] + path, body, method=method,
        headers={"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]})
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
print(json.dumps({f"{method} {path}": ask(method, path, body) for method, path, body in (
    ("GET", "/user", None), ("GET", "/users", None), ("GET", "/users/bob", None), ("GET", "/users/bob/tokens", None),
    ("POST", "/users/bob/tokens", b"{}"), ("POST", "/users/alice/tokens", b"{}"), ("DELETE", "/users/bob/server", None),
    ("POST", "/users/bob/server", b"{}"), ("PATCH", "/users/alice", b'{"admin": true}'), ("POST", "/users/eve", b"{}"),
    ("GET", "/proxy", None), ("POST", "/shutdown", b"{}"), ("GET", "/services", None), ("GET", "/groups", None),
    ("POST", "/berth/users", b'{"users": []}'), ("GET", "/info", None))}))
"""
    found = json.loads(python(code))
    assert found.pop("GET /user") == OK
    assert not [path for path, status in found.items() if status < 400], found


@pytest.fixture
def own_configuration(host: Host, hub: HubClient, people: tuple[str, str]) -> Iterator[None]:
    """Alice's server runs with a configuration of her own that would let everybody in."""
    lines = """
c.ServerApp.token = ""
c.ServerApp.password = ""
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.hashed_password = ""
c.ServerApp.allow_unauthenticated_access = True
c.ServerApp.disable_check_xsrf = True
c.ServerApp.allow_origin = "*"
c.ServerApp.identity_provider_class = "jupyter_server.auth.identity.IdentityProvider"
c.ServerApp.authorizer_class = "jupyter_server.auth.AllowAllAuthorizer"
c.ServerApp.jpserver_extensions = {"jupyterhub.singleuser.extension": False}
c.JupyterHubSingleUser.enabled = False
"""
    folder = "/srv/berth/homes/alice/.jupyter"
    names = ("jupyter_config.py", "jupyter_server_config.py", "jupyterhub_config.py")
    # By its own, since -D would give it to root.
    host.check_output("install -d -o 1000 -g 1000 %s", folder)
    for name in names:
        host.check_output("install -o 1000 -g 1000 /dev/stdin %s <<'END'" + f"\n{lines}\nEND", f"{folder}/{name}")
    hub.stop("alice")
    hub.start("alice")
    yield
    for name in names:
        host.check_output("rm %s", f"{folder}/{name}")
    hub.stop("alice")
    hub.start("alice")


def test_a_configuration_of_ones_own_opens_the_server_to_nobody(hub: HubClient, own_configuration: None) -> None:
    for headers in ({}, {"Authorization": f"token {hub.token('bob')}"}):
        for path in ("api/contents", "api/kernels", "lab", "files/hello.txt", "api/me", "terminals/1"):
            address = f"{hub.url}/user/alice/{path}"
            answer = hub.session.get(address, headers=headers, allow_redirects=False, timeout=20)
            sent_to_log_in = "/hub/api/oauth2/authorize" in answer.headers.get("Location", "")
            assert answer.status_code == FORBIDDEN or sent_to_log_in, (path, headers, answer.text)
    mine = {"Authorization": f"token {hub.token('alice')}"}
    assert hub.session.get(f"{hub.url}/user/alice/api/contents", headers=mine, timeout=20).status_code == OK


def test_a_bomb_of_processes_ends_at_its_limit(host: Host, hub: HubClient, python: Python) -> None:
    code = """
import os, subprocess
made = []
try:
    while len(made) < 2000:
        made.append(subprocess.Popen(["sleep", "60"]))
    print("no limit")
except OSError as error:
    print(error.strerror)
finally:
    for one in made:
        one.kill()
"""
    assert python(code) == "Resource temporarily unavailable"
    assert hub.healthy()
    assert host.run("docker exec berth-bob true").succeeded
