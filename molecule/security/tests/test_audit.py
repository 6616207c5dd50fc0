"""The CIS Docker Benchmark (1.6), as far as it is about what Berth brings; docs/security.md has the exceptions.

Each test is named by the benchmark's own number.
"""

import json
from typing import Any

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def info(host: Host) -> dict[str, Any]:
    """The engine about itself."""
    found: dict[str, Any] = json.loads(host.check_output("docker info --format '{{json .}}'"))
    return found


@pytest.fixture(scope="module")
def command_line(host: Host) -> list[str]:
    """The engine's arguments."""
    pid = host.check_output("systemctl show --property=MainPID --value docker.service")
    words: list[str] = host.check_output(f"tr '\\0' '\\n' </proc/{pid}/cmdline").split()
    return words


@pytest.fixture(scope="module")
def berth(host: Host, people: tuple[str, str]) -> dict[str, Any]:
    """A running berth, as the engine describes it."""
    found: dict[str, Any] = json.loads(host.check_output("docker inspect berth-alice"))[0]
    return found


def test_2_1_berths_do_not_talk_to_each_other(host: Host) -> None:
    """On the berths' own network; test_network.py tries it."""
    options = json.loads(host.check_output("docker network inspect --format '{{json .Options}}' berth"))
    assert options["com.docker.network.bridge.enable_icc"] == "false"


def test_2_2_log_level(info: dict[str, Any], command_line: list[str]) -> None:
    assert not info["Debug"]
    assert not {"-D", "--debug", "--log-level=debug"} & set(command_line)


def test_2_3_engine_keeps_its_own_rules_of_the_firewall(host: Host) -> None:
    assert json.loads(host.file("/etc/docker/daemon.json").content_string).get("iptables", True) is True


def test_2_4_no_insecure_registry(info: dict[str, Any]) -> None:
    assert set(info["RegistryConfig"]["InsecureRegistryCIDRs"]) <= {"127.0.0.0/8", "::1/128"}
    assert all(one["Secure"] for one in info["RegistryConfig"]["IndexConfigs"].values())


def test_2_5_storage_driver(info: dict[str, Any]) -> None:
    assert info["Driver"] != "aufs"


def test_2_6_engine_listens_on_no_port(host: Host, command_line: list[str]) -> None:
    assert not [word for word in command_line if "tcp://" in word]
    assert not host.socket("tcp://2375").is_listening
    assert not host.socket("tcp://2376").is_listening


def test_2_13_live_restore(info: dict[str, Any]) -> None:
    assert info["LiveRestoreEnabled"] is True


def test_2_16_nothing_experimental(info: dict[str, Any]) -> None:
    assert info["ExperimentalBuild"] is False


def test_7_1_no_swarm(info: dict[str, Any]) -> None:
    assert info["Swarm"]["LocalNodeState"] == "inactive"


@pytest.mark.parametrize(
    ("path", "group", "most"),
    [
        pytest.param("/lib/systemd/system/docker.service", "root", 0o644, id="3.1 and 3.2"),
        pytest.param("/lib/systemd/system/docker.socket", "root", 0o644, id="3.3 and 3.4"),
        pytest.param("/etc/docker", "root", 0o755, id="3.5 and 3.6"),
        pytest.param("/run/docker.sock", "docker", 0o660, id="3.15 and 3.16"),
        pytest.param("/etc/docker/daemon.json", "root", 0o644, id="3.17 and 3.18"),
        pytest.param("/etc/default/docker", "root", 0o644, id="3.19 and 3.20"),
        pytest.param("/run/containerd/containerd.sock", "root", 0o660, id="3.23 and 3.24"),
    ],
)
def test_3_files_of_the_engine(host: Host, path: str, group: str, most: int) -> None:
    file = host.file(path)
    assert (file.user, file.group) == ("root", group)
    assert file.mode & ~most == 0


def test_4_1_image_is_not_roots(berth: dict[str, Any]) -> None:
    assert berth["Config"]["User"] not in ("", "0", "root")


def test_5_1_apparmor_where_the_kernel_has_it(info: dict[str, Any], berth: dict[str, Any]) -> None:
    has = any("apparmor" in option for option in info["SecurityOptions"])
    assert berth["AppArmorProfile"] == ("docker-default" if has else "")


def test_5_3_capabilities(berth: dict[str, Any]) -> None:
    assert (berth["HostConfig"]["CapDrop"], berth["HostConfig"]["CapAdd"] or []) == (["ALL"], [])


def test_5_4_not_privileged(berth: dict[str, Any]) -> None:
    assert berth["HostConfig"]["Privileged"] is False


def test_5_5_and_5_31_nothing_of_the_system_is_mounted(berth: dict[str, Any]) -> None:
    found = {(mount["Source"], mount["RW"]) for mount in berth["Mounts"] if mount["Type"] == "bind"}
    assert found == {("/srv/berth/homes/alice", True), ("/srv/berth/shared", False)}
    assert not berth["HostConfig"]["Binds"]


def test_5_6_no_ssh_server(host: Host, people: tuple[str, str]) -> None:
    assert host.run("docker exec berth-alice sh -c 'command -v sshd || test -e /usr/sbin/sshd'").rc != 0


def test_5_7_5_8_and_5_13_no_port_of_the_host(berth: dict[str, Any]) -> None:
    assert not berth["HostConfig"]["PortBindings"]
    assert not berth["HostConfig"]["PublishAllPorts"]
    assert set(berth["Config"]["ExposedPorts"]) == {"8888/tcp"}


def test_5_9_and_5_29_network_of_its_own(berth: dict[str, Any]) -> None:
    assert list(berth["NetworkSettings"]["Networks"]) == ["berth"]


def test_5_10_5_11_and_5_28_limits(berth: dict[str, Any]) -> None:
    limits = berth["HostConfig"]
    assert limits["Memory"] == limits["MemorySwap"] > 0
    assert limits["CpuQuota"] > 0
    assert limits["PidsLimit"] > 0


def test_5_12_root_file_system(berth: dict[str, Any]) -> None:
    assert berth["HostConfig"]["ReadonlyRootfs"] is True


def test_5_14_nothing_starts_it_but_the_hub(berth: dict[str, Any]) -> None:
    assert berth["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")


def test_5_15_5_16_5_20_and_5_30_name_spaces(berth: dict[str, Any]) -> None:
    host_config = berth["HostConfig"]
    assert (host_config["PidMode"], host_config["UTSMode"], host_config["UsernsMode"]) == ("", "", "")
    assert host_config["IpcMode"] == "private"


def test_5_17_no_devices(berth: dict[str, Any]) -> None:
    assert not berth["HostConfig"]["Devices"]
    assert not berth["HostConfig"]["DeviceRequests"]
    assert not berth["HostConfig"]["DeviceCgroupRules"]


def test_5_19_mounts_do_not_spread(berth: dict[str, Any]) -> None:
    assert {mount["Propagation"] for mount in berth["Mounts"] if mount["Type"] == "bind"} == {"rprivate"}


def test_5_21_and_5_25_seccomp_and_no_new_privileges(berth: dict[str, Any], host: Host) -> None:
    assert berth["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    status = host.check_output("docker exec berth-alice cat /proc/1/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines())
    assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", "1")


def test_5_24_no_cgroup_of_anothers(berth: dict[str, Any]) -> None:
    assert berth["HostConfig"]["CgroupParent"] == ""


FLOORS = {
    "jupyterhub": "6.1.1",
    "oauthenticator": "17.4.0",
    "tornado": "6.6",
    "jinja2": "3.1.6",
    "requests": "2.32.4",
    "urllib3": "2.6.0",
    "cryptography": "44.0.1",
}
"""Versions of what the hub runs below which there are advisories."""


@pytest.mark.parametrize("package", FLOORS)
def test_hub_is_above_the_advisories(host: Host, package: str) -> None:
    code = f"import importlib.metadata as m; print(m.version('{package}'))"
    found = host.check_output("/opt/berth/hub/bin/python -c %s", code)
    assert tuple(map(int, found.split(".")[:3])) >= tuple(map(int, FLOORS[package].split(".")))
