"""Who controls the hub's own process tries to become root by the container engine, and does not."""

import copy
import json
from collections.abc import Callable
from http.client import BAD_REQUEST, FORBIDDEN, NOT_FOUND
from pathlib import Path
from typing import Any

import pytest
from hub_client import HubClient
from testinfra.host import Host

BROKER = "/run/berth-dock.sock"
LOOK = "/run/berth-dock-look.sock"
ENGINE = "/run/docker.sock"
CLIENT = Path(__file__).parents[1] / "engine_client.py"
HOME = "/srv/berth/homes/mallory"
BIND = f"{HOME}:/home/jovyan:rw"

Ask = Callable[..., list[tuple[int, str]]]


@pytest.fixture(scope="module")
def ask(host: Host) -> Ask:
    """Send requests from a process that is what the hub's is: its user, its groups and no others."""
    program = CLIENT.read_text(encoding="utf-8")

    def run(*requests: dict[str, Any], user: str = "berth") -> list[tuple[int, str]]:
        text = host.check_output(
            f"setpriv --reuid={user} --regid={user} --init-groups --no-new-privs --bounding-set=-all python3 -c %s %s",
            program,
            json.dumps(requests),
        )
        return [tuple(one) for one in json.loads(text)]

    return run


def create(content: Any, name: str = "berth-mallory", **more: Any) -> dict[str, Any]:
    body = content if isinstance(content, str) else json.dumps(content)
    return {"socket": BROKER, "method": "POST", "path": f"/v1.45/containers/create?name={name}", "body": body, **more}


@pytest.fixture(scope="module")
def good(host: Host, ask: Ask, hub: HubClient) -> dict[str, Any]:
    """A request that is carried out: every attack is this one, with one thing changed."""
    hub.add_users({"name": "mallory", "password": "a-long-enough-password"})
    hub.start("mallory")
    hub.stop("mallory")
    settings = json.loads(host.check_output("cat /etc/berth/hub.json"))
    scratch = f"rw,nosuid,nodev,exec,mode=1777,size={1024**3}"
    content = {
        "Image": settings["berth"]["image"],
        "Cmd": ["sleep", "60"],
        "Env": ["A=1"],
        "ExposedPorts": {"8888/tcp": {}},
        "Labels": {"berth.home": "mallory"},
        "HostConfig": {
            "NetworkMode": settings["berth"]["network"],
            "Binds": [BIND, "/srv/berth/shared:/opt/berth/shared:ro"],
            "Memory": 1024**3,
            "MemorySwap": 1024**3,
            "CpuPeriod": 100_000,
            "CpuQuota": 100_000,
            "PidsLimit": 100,
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": scratch, "/var/tmp": scratch},  # noqa: S108 (the container's)
        },
    }
    made = ask(
        create(content),
        {"socket": BROKER, "method": "DELETE", "path": "/v1.45/containers/berth-mallory?v=1", "body": None},
    )
    assert [status for status, _ in made] == [201, 204], made
    return content


def what_the_engine_has(host: Host) -> str:
    """Everything that a request could add, take away or change."""
    found: str = host.check_output(
        "docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.State}}'; docker images --all --no-trunc --quiet;"
        "docker volume ls; docker network ls --no-trunc; docker plugin ls;"
        "docker info --format '{{.Swarm.LocalNodeState}}'"
    )
    return found


A_BIND = {"DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}}

HOST_CONFIG: dict[str, Any] = {
    "privileged": {"Privileged": True},
    "privileged by another case": {"privileged": True},
    "root as a bind": {"Binds": [BIND, "/:/host:rw"]},
    "root as a bind, read-only": {"Binds": [BIND, "/:/host:ro"]},
    "by dots": {"Binds": [f"{HOME}/../../../../etc:/home/jovyan:rw"]},
    "by dots within the homes": {"Binds": [f"{HOME}/../alice:/home/jovyan:rw"]},
    "all homes": {"Binds": ["/srv/berth/homes:/home/jovyan:rw"]},
    "somebody else's home": {"Binds": ["/srv/berth/homes/alice:/home/jovyan:rw"]},
    "a home that is a link": {"Binds": ["/srv/berth/homes/linked:/home/jovyan:rw"]},
    "shared notebooks to write": {"Binds": [BIND, "/srv/berth/shared:/opt/berth/shared:rw"]},
    "shared notebooks over the system": {"Binds": [BIND, "/srv/berth/shared:/usr:ro"]},
    "the engine's socket": {"Binds": [BIND, f"{ENGINE}:/engine.sock:rw"]},
    "the broker's socket": {"Binds": [BIND, f"{BROKER}:/engine.sock:rw"]},
    "secrets": {"Binds": [BIND, "/etc/berth/secrets:/secrets:ro"]},
    "a shared mount": {"Binds": [f"{HOME}:/home/jovyan:rw,rshared"]},
    "a mount": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/host"}]},
    "a volume that is a bind": {"Mounts": [{"Type": "volume", "Target": "/host", "VolumeOptions": A_BIND}]},
    "a volume": {"Binds": [BIND, "anything:/data:rw"]},
    "volumes of another": {"VolumesFrom": ["berth-alice"]},
    "devices": {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]},
    "device rules": {"DeviceCgroupRules": ["a *:* rwm"]},
    "GPUs": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]},
    "a capability": {"CapAdd": ["SYS_ADMIN"]},
    "no seccomp": {"SecurityOpt": ["seccomp=unconfined"]},
    "new privileges": {"SecurityOpt": ["no-new-privileges:false"]},
    "processes of the host": {"PidMode": "host"},
    "network of the host": {"NetworkMode": "host"},
    "another network": {"NetworkMode": "bridge"},
    "network of another": {"NetworkMode": "container:berth-alice"},
    "memory of the host": {"IpcMode": "host"},
    "users of the host": {"UsernsMode": "host"},
    "names of the host": {"UTSMode": "host"},
    "cgroups of the host": {"CgroupnsMode": "host"},
    "a cgroup parent": {"CgroupParent": "/"},
    "no memory limit": {"Memory": 0, "MemorySwap": 0},
    "more memory than anybody has": {"Memory": 2**41, "MemorySwap": 2**41},
    "swap without end": {"MemorySwap": -1},
    "no limit of processes": {"PidsLimit": 0},
    "no processor limit": {"CpuQuota": 0},
    "a file system to write to": {"ReadonlyRootfs": False},
    "a mount in memory over the system": {"Tmpfs": {"/etc": "exec,dev,suid"}},
    "another runtime": {"Runtime": "io.containerd.runc.v1"},
    "kernel settings": {"Sysctls": {"kernel.core_pattern": "|/x"}},
    "a group": {"GroupAdd": ["0"]},
    "nothing masked": {"MaskedPaths": [], "ReadonlyPaths": ["/none"]},
    "a log to a socket": {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "unixgram:///run/x"}}},
    "started for ever": {"RestartPolicy": {"Name": "always"}},
    "a port of the host": {"PortBindings": {"8888/tcp": [{"HostPort": "8888"}]}},
    "names of its own": {"ExtraHosts": ["hub:127.0.0.1"]},
    "never killed": {"OomKillDisable": True},
}  # fmt: skip

WHOLE: dict[str, Any] = {
    "another image": {"Image": "scratch"},
    "root inside": {"User": "0"},
    "an entry point": {"Entrypoint": ["/bin/sh"]},
    "a health check": {"Healthcheck": {"Test": ["CMD", "id"]}},
    "somebody else's label": {"Labels": {"berth.home": "alice"}},
    "the broker's own label": {"Labels": {"berth.home": "mallory", "berth.broker": "1"}},
    "a second configuration": {"hostconfig": {"Privileged": True}},
    "an address of its own": {"NetworkingConfig": {"EndpointsConfig": {"berth": {"IPAddress": "172.29.0.1"}}}},
    "an address of a machine": {"MacAddress": "02:42:ac:1d:00:02"},
}  # fmt: skip


REQUESTS = [
    ("POST", "/containers/berth-alice/exec", '{"Cmd": ["id"], "User": "0", "Privileged": true}'),
    ("POST", "/containers/berth-alice/attach?stream=1&stdin=1&stdout=1", ""),
    ("GET", "/containers/berth-alice/attach/ws", ""),
    ("POST", "/containers/berth-alice/update", '{"Memory": 0}'),
    ("POST", "/containers/berth-alice/rename?name=x", ""),
    ("GET", "/containers/berth-alice/archive?path=/", ""),
    ("PUT", "/containers/berth-alice/archive?path=/", "x"),
    ("GET", "/containers/berth-alice/export", ""),
    ("POST", "/containers/berth-alice/start", '{"Privileged": true, "Binds": ["/:/host"]}'),
    ("POST", "/containers/prune", ""),
    ("POST", "/commit?container=berth-alice&repo=x", "{}"),
    ("POST", "/build?remote=http://127.0.0.1/x", ""),
    ("POST", "/session", ""),
    ("POST", "/images/create?fromImage=debian", ""),
    ("POST", "/images/load", ""),
    ("POST", "/volumes/create", '{"Name": "x", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}}'),
    ("POST", "/networks/create", '{"Name": "x"}'),
    ("POST", "/networks/bridge/connect", '{"Container": "berth-alice"}'),
    ("POST", "/plugins/pull?remote=x", "[]"),
    ("POST", "/swarm/init", '{"ListenAddr": "0.0.0.0"}'),
    ("POST", "/services/create", "{}"),
    ("GET", "/secrets", ""),
    ("GET", "/info", ""),
    ("GET", "/events", ""),
    ("GET", "/containers/../images/json", ""),
    ("GET", "/containers/%2e%2e/images/json", ""),
    ("POST", "//containers/create?name=berth-mallory", "{}"),
    ("POST", "/containers/create?name=berth-mallory&name=x", "{}"),
]


OF_ENGINE = [f"{method} {path}" for method, path, _ in REQUESTS]


@pytest.fixture(scope="module")
def answers(host: Host, ask: Ask, good: dict[str, Any], people: tuple[str, str]) -> dict[str, tuple[int, str]]:
    """What the broker says to each attack; nothing of the engine's has changed by then."""
    requests = {
        name: create(good | {"HostConfig": good["HostConfig"] | change}) for name, change in HOST_CONFIG.items()
    }
    requests |= {name: create(good | change) for name, change in WHOLE.items()}
    for name, (method, path, body) in zip(OF_ENGINE, REQUESTS, strict=True):
        requests[name] = {"socket": BROKER, "method": method, "path": f"/v1.45{path}", "body": body}
    before = what_the_engine_has(host)
    found = ask(*requests.values())
    assert what_the_engine_has(host) == before
    return dict(zip(requests, found, strict=True))


@pytest.mark.parametrize("attack", [*HOST_CONFIG, *WHOLE, *OF_ENGINE])
def test_attack(answers: dict[str, tuple[int, str]], attack: str) -> None:
    status, said = answers[attack]
    assert status == FORBIDDEN, said


def test_other_versions_of_the_interface(ask: Ask, good: dict[str, Any]) -> None:
    versions = ("1.24", "1.40", "1.99", "2.0")
    found = ask(*({**create(good), "path": f"/v{one}/containers/create?name=berth-mallory"} for one in versions))
    assert {status for status, _ in found} <= {BAD_REQUEST, FORBIDDEN}, found


def test_keys_that_are_there_twice(host: Host, ask: Ask, good: dict[str, Any]) -> None:
    text = json.dumps(good)
    twice = text.replace('"HostConfig": {', '"HostConfig": {"Binds": ["/:/host"], ', 1)
    [(status, said)] = ask(create(twice))
    assert (status, "twice" in said) == (FORBIDDEN, True)


def test_bodies_in_pieces_and_lengths_that_lie(host: Host, ask: Ask, good: dict[str, Any]) -> None:
    bad = copy.deepcopy(good)
    bad["HostConfig"]["Privileged"] = True
    body = json.dumps(bad)
    start = "POST /v1.45/containers/create?name=berth-mallory HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    pieces = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    before = what_the_engine_has(host)
    answers = ask(
        {"socket": BROKER, "raw": f"{start}Transfer-Encoding: chunked\r\n\r\n{pieces}"},
        {"socket": BROKER, "raw": f"{start}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{pieces}"},
        {"socket": BROKER, "raw": f"{start}Content-Length: 2\r\nContent-Length: {len(body)}\r\n\r\n{body}"},
        {"socket": BROKER, "raw": f"{start}Content-Length: {10**12}\r\n\r\n{body}"},
        {
            "socket": BROKER,
            "raw": f"{start}Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n{body}",
        },
    )
    assert {status for status, _ in answers} <= {0, BAD_REQUEST, FORBIDDEN}, answers
    assert what_the_engine_has(host) == before
    assert ask({"socket": BROKER, "method": "GET", "path": "/version", "body": None})[0][0] == 200


def test_containers_that_are_not_berths_are_not_there(host: Host, ask: Ask, good: dict[str, Any]) -> None:
    names = ("of-the-site", "berth-trap")
    for name in names:
        host.check_output(f"docker create --name {name} --privileged --volume /:/host {good['Image']} true")
    try:
        found = ask(
            *(
                {"socket": BROKER, "method": method, "path": f"/v1.45/containers/{name}{rest}", "body": None}
                for name in names
                for method, rest in (
                    ("GET", "/json"),
                    ("POST", "/start"),
                    ("POST", "/stop"),
                    ("POST", "/pause"),
                    ("POST", "/unpause"),
                    ("DELETE", "?force=1"),
                    ("GET", "/logs?stdout=1"),
                )
            )
        )
        assert {status for status, _ in found} == {NOT_FOUND}, found
        for name in names:
            assert host.check_output(f"docker inspect --format '{{{{.State.Status}}}}' {name}") == "created"
    finally:
        host.run(f"docker rm {' '.join(names)}")


def test_a_container_that_was_not_made_here_is_not_started(host: Host, ask: Ask, good: dict[str, Any]) -> None:
    host.check_output(
        "docker create --network berth --name berth-trap --privileged --volume /:/host %s true", good["Image"]
    )
    try:
        [(status, said)] = ask(
            {"socket": BROKER, "method": "POST", "path": "/v1.45/containers/berth-trap/start", "body": None}
        )
        assert status == FORBIDDEN, said
    finally:
        host.run("docker rm berth-trap")


def test_a_link_instead_of_a_home(host: Host, ask: Ask, good: dict[str, Any]) -> None:
    """The hub's user cannot put one there; and if root did, it would lead nowhere."""
    command = "setpriv --reuid=berth --regid=berth --init-groups ln -s /etc /srv/berth/homes/linked"
    assert host.run(command).failed
    host.check_output("ln -s /etc /srv/berth/homes/linked")
    try:
        content = copy.deepcopy(good)
        content["Labels"] = {"berth.home": "linked"}
        content["HostConfig"]["Binds"] = ["/srv/berth/homes/linked:/home/jovyan:rw"]
        [(status, said)] = ask(create(content, "berth-linked"))
        assert (status, "is not a directory" in said) == (FORBIDDEN, True)
    finally:
        host.check_output("rm /srv/berth/homes/linked")


def test_the_engines_own_socket_is_closed_to_the_hub(host: Host, ask: Ask) -> None:
    look = {"method": "GET", "path": "/version", "body": None}
    for user in ("berth", "berth-proxy", "berth-metrics", "nobody"):
        [(status, said)] = ask({"socket": ENGINE, **look}, user=user if user != "nobody" else "65534")
        assert (status, "PermissionError" in said) == (0, True), user


def test_the_brokers_socket_is_the_hubs_alone(ask: Ask) -> None:
    look = {"method": "GET", "path": "/version", "body": None}
    for user in ("berth-proxy", "berth-metrics", "65534"):
        [(status, said)] = ask({"socket": BROKER, **look}, user=user)
        assert (status, "PermissionError" in said) == (0, True), user


def test_who_only_looks_changes_nothing(host: Host, ask: Ask, good: dict[str, Any], people: tuple[str, str]) -> None:
    requests = [
        {**create(good), "socket": LOOK},
        {"socket": LOOK, "method": "POST", "path": "/containers/berth-alice/stop", "body": None},
        {"socket": LOOK, "method": "DELETE", "path": "/containers/berth-alice?force=1", "body": None},
        {"socket": LOOK, "method": "GET", "path": "/containers/berth-alice/json", "body": None},
        {"socket": LOOK, "method": "GET", "path": "/containers/json", "body": None},
    ]
    answers = ask(*requests, user="berth-metrics")
    assert [status for status, _ in answers] == [403, 403, 403, 403, 200]
    assert "berth-alice" in answers[-1][1]


def test_what_was_refused_is_in_the_journal(host: Host, ask: Ask, good: dict[str, Any]) -> None:
    ask(create({**good, "HostConfig": {**good["HostConfig"], "Privileged": True}}))
    said = host.check_output("journalctl --unit=berth-dock.service --lines=20 --output=cat --no-pager")
    assert "refused: POST /v1.45/containers/create?name=berth-mallory: HostConfig.Privileged is not for berths" in said


def test_the_hub_has_no_group_of_the_engines(host: Host) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value berth-hub")
    groups = host.check_output(f"grep ^Groups: /proc/{pid}/status").split()[1:]
    names = {host.check_output(f"getent group {number}").split(":")[0] for number in groups}
    assert names == {"berth", "berth-routes", "berth-metrics"}
