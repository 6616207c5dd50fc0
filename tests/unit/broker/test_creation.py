"""Bodies of requests to create a container: what a berth needs passes, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from berth_dock.creation import rebuild
from berth_dock.refusal import Refused

from tests.unit.hub.conftest import altered

from .conftest import asked

if TYPE_CHECKING:
    from pathlib import Path

    from berth_dock.policy import Policy


def judge(policy: Policy, content: object, name: str = "berth-alice") -> dict[str, Any]:
    return rebuild(name, json.dumps(content).encode(), policy)


def test_what_the_spawner_asks_for_is_written_anew(policy: Policy, places: Path) -> None:
    made = judge(policy, asked(places))
    host = made["HostConfig"]
    assert made["Image"] == "berth/notebook:1"
    assert made["Cmd"] == ["/opt/berth/shared/start", "jupyterhub-singleuser"]
    assert sorted(made["Env"]) == ["JUPYTERHUB_API_TOKEN=secret", "LINES=a\nb"]
    assert made["ExposedPorts"] == {"8888/tcp": {}}
    assert made["Labels"] == {"berth.home": "alice", "berth.broker": "1"}
    assert made["NetworkingConfig"] == {"EndpointsConfig": {"berth": {}}}
    assert {key: host[key] for key in ("Memory", "MemorySwap", "CpuPeriod", "CpuQuota", "PidsLimit")} == {
        "Memory": 2 * 1024**3, "MemorySwap": 2 * 1024**3, "CpuPeriod": 100_000, "CpuQuota": 150_000, "PidsLimit": 512,
    }  # fmt: skip
    assert (host["CapDrop"], host["SecurityOpt"], host["NetworkMode"]) == (["ALL"], ["no-new-privileges"], "berth")
    assert {(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in host["Mounts"]} == {
        (str(places / "homes/alice"), "/home/jovyan", False),
        (str(places / "folders/team"), "/home/jovyan/shared/team", False),
        (str(places / "shared"), "/opt/berth/shared", True),
    }
    assert not set(host) & {"Binds", "Privileged"}


def test_the_users_own_snapshots_may_be_read(policy: Policy, places: Path) -> None:
    content = asked(places)
    content["HostConfig"]["Binds"].append(f"{places}/homes/.snapshots/alice:/opt/berth/snapshots:ro")
    mount = judge(policy, content)["HostConfig"]["Mounts"][-1]
    assert (mount["Source"], mount["Target"], mount["ReadOnly"]) == (
        str(places / "homes/.snapshots/alice"),
        "/opt/berth/snapshots",
        True,
    )


def test_what_is_not_said_is_confined_all_the_same(policy: Policy, places: Path) -> None:
    content = asked(places)
    for key in ("CapDrop", "SecurityOpt", "Init"):
        del content["HostConfig"][key]
    host = judge(policy, content)["HostConfig"]
    assert (host["CapDrop"], host["SecurityOpt"], host["Init"]) == (["ALL"], ["no-new-privileges"], True)


def test_a_runtime_is_the_sites(policy: Policy, places: Path) -> None:
    site = replace(policy, runtime="crun")
    assert judge(site, asked(places))["HostConfig"]["Runtime"] == "crun"
    assert judge(site, asked(places, runtime="crun"))["HostConfig"]["Runtime"] == "crun"
    with pytest.raises(Refused, match="docker_berth_runtime"):
        judge(site, asked(places, runtime="runc"))


def test_limits_go_as_far_as_profiles_and_groups_do(policy: Policy, places: Path) -> None:
    content = asked(places, mem_limit=4 * 1024**3, memswap_limit=4 * 1024**3, cpu_quota=300_000)
    content["Image"] = "site/large:2"
    content["HostConfig"]["DeviceRequests"] = [
        {"Driver": "", "Count": 1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
    ]
    host = judge(policy, content)["HostConfig"]
    assert (host["Memory"], host["CpuQuota"]) == (4 * 1024**3, 300_000)
    assert host["DeviceRequests"] == [{"Count": 1, "Capabilities": [["gpu"]]}]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("alice", "berth-alice"),
        ("alice", "berth-alice.gpu"),
        ("dot.ted", "berth-dot.ted."),
        ("dot.ted", "berth-dot.ted.x"),
    ],
)
def test_names_of_a_users_containers(policy: Policy, places: Path, user: str, name: str) -> None:
    assert judge(policy, asked(places, user), name)["Labels"]["berth.home"] == user


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("alice", "berth-bob"),
        ("alice", "alice"),
        ("alice", "berth-alice."),
        ("alice", "berth-alice.a.b"),
        ("alice", "berth-alicex"),
        ("alice", "berth-alice.."),
        ("dot.ted", "berth-dot.ted"),
        ("linked", "berth-linked"),
        ("file", "berth-file"),
        ("nobody", "berth-nobody"),
        ("..", "berth-.."),
        (".", "berth-."),
        ("alice/../bob", "berth-alice/../bob"),
    ],
)
def test_a_name_goes_with_its_users_home(policy: Policy, places: Path, user: str, name: str) -> None:
    with pytest.raises(Refused):
        judge(policy, asked(places, user), name)


HOSTILE_HOST: dict[str, list[Any]] = {
    "Privileged": [True, "true", 1, [1]],
    "privileged": [True],
    "PRIVILEGED": [True],
    "CapAdd": [["ALL"], ["SYS_ADMIN"], "ALL"],
    "capadd": [["ALL"]],
    "Devices": [[{"PathOnHost": "/dev/vda", "PathInContainer": "/dev/vda", "CgroupPermissions": "rwm"}]],
    "DeviceCgroupRules": [["b 8:* rwm"]],
    "PidMode": ["host", "container:berth-bob"],
    "IpcMode": ["host", "container:berth-bob", "shareable"],
    "UTSMode": ["host"],
    "UsernsMode": ["host"],
    "CgroupnsMode": ["host"],
    "CgroupParent": ["/", "system.slice", "../../"],
    "Cgroup": ["container:x"],
    "NetworkMode": ["host", "bridge", "none", "container:berth-bob", "default", "", None, ["berth"]],
    "SecurityOpt": [["seccomp=unconfined"], ["no-new-privileges:false"], ["label=disable"], [1]],
    "Sysctls": [{"net.ipv4.ip_forward": "1"}],
    "Ulimits": [[{"Name": "nofile", "Soft": 1, "Hard": 10**9}]],
    "VolumesFrom": [["berth-bob"], ["berth-bob:rw"]],
    "VolumeDriver": ["local", "evil"],
    "Mounts": [
        [{"Type": "bind", "Source": "/", "Target": "/host"}],
        [{"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"DriverConfig": {}}}],
        [{"Type": "npipe", "Source": "/", "Target": "/host"}],
    ],
    "Tmpfs": [{"/run": "exec,dev,suid"}, {"/var": "suid"}, {}, None, ...],
    "ReadonlyRootfs": [False, None, 1, ...],
    "Links": [["berth-bob:bob"]],
    "PortBindings": [{"8888/tcp": [{"HostPort": "22"}]}],
    "PublishAllPorts": [True],
    "ExtraHosts": [["hub:127.0.0.1"]],
    "Dns": [["192.0.2.1"]],
    "DnsOptions": [["ndots:0"]],
    "GroupAdd": [["0"], ["docker"]],
    "OomKillDisable": [True],
    "OomScoreAdj": [-1000, 1000],
    "Runtime": ["runc", "io.containerd.evil"],
    "Isolation": ["process"],
    "LogConfig": [{"Type": "syslog", "Config": {"syslog-address": "unixgram:///run/systemd/notify"}}],
    "RestartPolicy": [{"Name": "always"}],
    "ContainerIDFile": ["/etc/cron.d/x"],
    "MaskedPaths": [["/none"], "x"],
    "ReadonlyPaths": [["/none"]],
    "StorageOpt": [{"size": "1T"}],
    "ShmSize": [2**40],
    "AutoRemove": [True],
    "Annotations": [{"run.oci.handler": "x"}],
    "BlkioWeight": [1000],
    "CpuShares": [100_000],
    "CpuRealtimeRuntime": [1000],
    "CpusetCpus": ["0"],
    "NanoCpus": [10**9],
    "KernelMemory": [1],
    "Memory": [0, -1, None, 5 * 1024**3, "2G", 2.5e9, True, 1024, ...],
    "MemorySwap": [0, -1, None, 2**40, ...],
    "MemorySwappiness": [100],
    "CpuPeriod": [0, None, -5, 10**9, ...],
    "CpuQuota": [0, -1, None, 400_000, "x", ...],
    "PidsLimit": [0, -1, None, 513, ...],
    "DeviceRequests": [
        [{"Count": -1, "Capabilities": [["gpu"]]}],
        [{"Count": 2, "Capabilities": [["gpu"]]}],
        [{"Count": 0, "Capabilities": [["gpu"]]}],
        [{"Count": True, "Capabilities": [["gpu"]]}],
        [{"Count": 1, "Capabilities": [["gpu"]], "DeviceIDs": ["0"]}],
        [{"Count": 1, "Capabilities": [["gpu"]], "Driver": "cdi"}],
        [{"Count": 1, "Capabilities": [["gpu"]], "Options": {"a": "b"}}],
        [{"Count": 1, "Capabilities": [["nvidia"]]}],
        [{"Count": 1, "Capabilities": [["gpu"]]}] * 2,
        {"Count": 1},
    ],
    "Binds": [
        None,
        [],
        "/:/host",
        {"/": "/host"},
        ["/:/host"],
        ["/:/host:rw"],
        ["/etc:/home/jovyan:rw"],
        ["{homes}/bob:/home/jovyan:rw"],
        ["{homes}/alice:/home/jovyan:rw", "/run/docker.sock:/run/docker.sock:rw"],
        ["{homes}/alice:/home/jovyan:rw", "{homes}:/homes:rw"],
        ["{homes}/alice/../bob:/home/jovyan:rw"],
        ["{homes}/alice/.:/home/jovyan:rw"],
        ["{homes}//alice:/home/jovyan:rw"],
        ["{homes}/linked:/home/jovyan:rw"],
        ["{homes}/alice:/home/jovyan:rw,shared"],
        ["{homes}/alice:/home/jovyan:rshared"],
        ["{homes}/alice:/home/jovyan"],
        ["{homes}/alice:/home/jovyan:"],
        ["{homes}/alice:/etc:rw"],
        ["{homes}/alice:/home/jovyan/..:rw"],
        ["{homes}/alice:/home/jovyan:rw", "{shared}:/opt/berth/shared:rw"],
        ["{homes}/alice:/home/jovyan:rw", "{shared}:/usr:ro"],
        ["{homes}/alice:/home/jovyan:rw", "{folders}/data:/home/jovyan/shared/data:rw"],
        ["{homes}/alice:/home/jovyan:rw", "{homes}/alice:/home/jovyan:ro"],
        ["{shared}:/opt/berth/shared:ro"],
        ["{homes}/alice:/home/jovyan:rw", "{homes}/.snapshots/bob:/opt/berth/snapshots:ro"],
        ["{homes}/alice:/home/jovyan:rw", "{homes}/.snapshots:/opt/berth/snapshots:ro"],
        ["{homes}/alice:/home/jovyan:rw", "{homes}/.snapshots/alice:/opt/berth/snapshots:rw"],
        ["{homes}/alice:/home/jovyan:rw", "{homes}/.snapshots/alice:/home/jovyan/.snapshots:ro"],
        ["somevolume:/home/jovyan:rw"],
        ["{homes}/alice:/home/jovyan:rw", 5],
    ],
}  # fmt: skip

HOSTILE: dict[str, list[Any]] = {
    "Image": ["debian", "berth/notebook:2", "sha256:00", "", None, ["berth/notebook:1"], "BERTH/notebook:1"],
    "User": ["root", "0:0"],
    "user": ["0"],
    "Entrypoint": [["/bin/sh"], "/bin/sh"],
    "Healthcheck": [{"Test": ["CMD-SHELL", "id"]}],
    "OnBuild": [["RUN id"]],
    "Hostname": ["hub"],
    "Domainname": ["example.org"],
    "MacAddress": ["02:42:ac:1e:00:01"],
    "WorkingDir": ["/etc"],
    "Shell": [["/bin/sh"]],
    "StopSignal": ["SIGKILL"],
    "StopTimeout": [10**6],
    "Tty": [True],
    "OpenStdin": [True],
    "NetworkDisabled": [True],
    "NetworkingConfig": [
        {"EndpointsConfig": {"bridge": {}}},
        {"EndpointsConfig": {"berth": {"IPAddress": "172.30.0.1"}}},
        {"EndpointsConfig": {"berth": {"Aliases": ["hub"]}}},
    ],
    "Labels": [
        None,
        {},
        [],
        {"berth.home": "bob"},
        {"berth.home": "alice", "berth.broker": "1"},
        {"berth.home": "alice", "com.docker.stack.namespace": "x"},
        {"berth.home": ["alice"]},
        {"berth.home": "../../etc"},
    ],
    "Volumes": [{"/var/lib/x": {}}, ["/etc"], {"/home/jovyan": {}, "/": {}}],
    "ExposedPorts": [{"22/udp": {}}, {"1/tcp": {}, "2/tcp": {}}, {"8888/tcp": {"x": 1}}, ["8888/tcp"]],
    "Cmd": ["id", [1], ["x" * 20_000], ["a\0b"], {"a": 1}],
    "Env": ["A=1", [1], ["=x"], ["novalue"], ["A=\0"], ["A=" + "x" * 200_000]],
    "HostConfig": [None, [], {}, "x", ...],
    "hostconfig": [{"Privileged": True}],
    "HOSTCONFIG": [{"Binds": ["/:/host"]}],
}  # fmt: skip

ATTACKS = [(key, value) for key, values in HOSTILE.items() for value in values]
ATTACKS += [(f"HostConfig__{key}", value) for key, values in HOSTILE_HOST.items() for value in values]


@pytest.mark.parametrize(("path", "value"), ATTACKS, ids=lambda value: str(value)[:60])
def test_everything_else_is_refused(policy: Policy, places: Path, path: str, value: Any) -> None:
    named = {"homes": str(places / "homes"), "shared": str(places / "shared"), "folders": str(places / "folders")}
    if path.endswith("__Binds") and isinstance(value, list):
        value = [bind.format(**named) if isinstance(bind, str) else bind for bind in value]
    judge(policy, asked(places))
    with pytest.raises(Refused):
        judge(policy, altered(asked(places), {path: value}))


@pytest.mark.parametrize(
    "change",
    [
        ('"Image": "berth/notebook:1"', '"Image": "berth/notebook:1", "Image": "berth/notebook:1"'),
        ('"HostConfig": {', '"HostConfig": {"Privileged": true, "Privileged": false, '),
        ('"HostConfig": {', '"HostConfig": {"Memory": NaN, '),
        ('"Memory": 2147483648', '"Memory": Infinity'),
        ('"Memory": 2147483648', '"Memory": 2147483648.0'),
        ('"Memory": 2147483648', '"Memory": 1' + "0" * 5000),
    ],
)
def test_json_that_two_readers_may_read_differently_is_refused(
    policy: Policy, places: Path, change: tuple[str, str]
) -> None:
    text = json.dumps(asked(places))
    assert change[0] in text
    with pytest.raises(Refused):
        rebuild("berth-alice", text.replace(*change).encode(), policy)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{", b"[" * 100_000, b"\xff", b'{"a": "\xed\xa0\x80"}'])
def test_what_is_no_object_is_refused(policy: Policy, body: bytes) -> None:
    with pytest.raises(Refused):
        rebuild("berth-alice", body, policy)


def test_a_folder_that_became_a_link_is_refused(policy: Policy, places: Path) -> None:
    (places / "folders/team").rmdir()
    (places / "folders/team").symlink_to("/etc")
    with pytest.raises(Refused, match="leads somewhere else"):
        judge(policy, asked(places))
