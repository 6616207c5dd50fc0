"""A request to create a container, judged key by key and written anew."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from berth_hub.allotment import SNAPSHOTS_IN_BERTH
from berth_names import container_of
from berth_volumes import snapshots_of

from berth_dock.policy import Mount
from berth_dock.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from berth_dock.policy import Policy

HOME_LABEL = "berth.home"
"""Directory of the home of the berth's user; the hub's spawner sets it."""

BROKER_LABEL = "berth.broker"
"""Set on what came through here, and asked for before it is started again."""

LEAST_MEMORY = 6 * 1024**2
"""Bytes; the engine takes no less."""

ENVIRONMENT_BYTES_MAX = 128 * 1024
"""As much as Linux lets one program have of one variable."""

COMMAND_BYTES_MAX = 16 * 1024

_DIRECTORY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_SERVER = re.compile(r"[A-Za-z0-9_-]{0,255}")
_PORT = re.compile(r"[0-9]{1,5}/tcp")
_VARIABLE = re.compile(r"[^=\0]+=[^\0]*")
_NO_NEW_PRIVILEGES = ("no-new-privileges", "no-new-privileges:true")


def rebuild(name: str, body: bytes, policy: Policy) -> dict[str, Any]:
    """Make the body that the engine is sent.

    Args:
        name: The container's name.
        body: What the client sent.
        policy: What is allowed.

    Raises:
        Refused: naming the key, or what is wrong with it.
    """
    asked = _parse(body)
    home = _home(asked.get("Labels"), name, policy)
    host = asked.get("HostConfig")
    if not isinstance(host, dict):
        raise Refused("HostConfig is missing: a berth has limits")
    _only(asked, _TAKEN, "")
    _only(host, _TAKEN_OF_HOST, "HostConfig.")
    mounts = _mounts(host.get("Binds"), home, policy)
    targets = {mount["Target"] for mount in mounts}
    if not set(_object(asked, "Volumes")) <= targets:
        raise Refused("Volumes: a berth has no volumes of its own")
    return {
        "Image": _image(asked, policy),
        "Cmd": _texts(asked, "Cmd", COMMAND_BYTES_MAX),
        "Env": _environment(asked),
        "ExposedPorts": _ports(asked),
        "Labels": {HOME_LABEL: home.name, BROKER_LABEL: "1"},
        "HostConfig": {
            **_limits(host, policy),
            "NetworkMode": _network(host, policy),
            "Mounts": mounts,
            **_root_file_system(host, policy),
            **_runtime(host, policy),
            "CapDrop": ["ALL"],
            "SecurityOpt": _security(host),
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "Init": True,
            "AutoRemove": False,
            "RestartPolicy": {"Name": "no"},
        },
        "NetworkingConfig": {"EndpointsConfig": {policy.network: {}}},
    }


_IGNORED = frozenset({"AttachStdin", "AttachStdout", "AttachStderr"})
"""Said by every client, and without a meaning for a container that runs by itself."""

_TAKEN = frozenset({"Image", "Cmd", "Env", "ExposedPorts", "Labels", "Volumes", "HostConfig"}) | _IGNORED

_TAKEN_OF_HOST = frozenset(
    {
        "NetworkMode",
        "Memory",
        "MemorySwap",
        "CpuPeriod",
        "CpuQuota",
        "PidsLimit",
        "Binds",
        "CapDrop",
        "SecurityOpt",
        "Init",
        "DeviceRequests",
        "ReadonlyRootfs",
        "Tmpfs",
        "Runtime",
    }
)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Refused("the body is no object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a key is there twice")
    return found


def _no_number(name: str) -> None:
    raise Refused(f"{name} is no number")


def _only(asked: Mapping[str, Any], taken: frozenset[str], where: str) -> None:
    """Refuse every other key that says something: what is empty, false or zero is the engine's default."""
    for key, value in asked.items():
        # A number of zero or one as a truth value is a number still: compared by identity, not by value.
        nothing = value is None or value is False or value in ("", [], {}) or (type(value) is int and value == 0)
        if key not in taken and not nothing:
            raise Refused(f"{where}{key} is not for berths")


def _object(asked: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = asked.get(key) or {}
    if not isinstance(value, dict):
        raise Refused(f"{key} is no object")
    return value


def _texts(asked: Mapping[str, Any], key: str, most: int) -> list[str]:
    value = asked.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) and "\0" not in one for one in value):
        raise Refused(f"{key} is no list of texts")
    if sum(len(one) for one in value) > most:
        raise Refused(f"{key} is longer than {most} characters")
    return value


def _home(labels: object, name: str, policy: Policy) -> Path:
    """The home that goes with a container's name."""
    if not isinstance(labels, dict) or set(labels) != {HOME_LABEL}:
        raise Refused(f"Labels: there is just one, {HOME_LABEL}")
    directory = labels[HOME_LABEL]
    if not isinstance(directory, str) or not _DIRECTORY.fullmatch(directory):
        raise Refused(f"Labels: {HOME_LABEL} is no directory of a home")
    server = name.removeprefix(f"berth-{directory}").removeprefix(".")
    if not _SERVER.fullmatch(server) or name != container_of(directory, server):
        raise Refused(f"the container of {directory} is not called that")
    home = policy.homes / directory
    try:
        found = home.lstat()
    except OSError as error:
        raise Refused(f"{home}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{home} is not a directory")
    return home


def _mounts(binds: object, home: Path, policy: Policy) -> list[dict[str, Any]]:
    if not isinstance(binds, list) or not all(isinstance(bind, str) for bind in binds):
        raise Refused("HostConfig.Binds is no list of texts")
    made: dict[str, dict[str, Any]] = {}
    for bind in binds:
        source, target, mode = bind.split(":") if bind.count(":") == 2 else (bind, "", "")
        allowed = _allowed_mount(source, home, policy)
        if allowed is None:
            raise Refused(f"HostConfig.Binds: {source[:200]!r} is not for this berth")
        if target != allowed.target or mode not in (("ro",) if allowed.read_only else ("ro", "rw")):
            raise Refused(f"HostConfig.Binds: {source} appears at {allowed.target} only, as the site's settings say")
        if target in made:
            raise Refused(f"HostConfig.Binds: {target} is there twice")
        if Path(source).resolve() != Path(source):
            raise Refused(f"HostConfig.Binds: {source} leads somewhere else")
        # Not as a bind, for which the engine makes what is missing on the host.
        made[target] = {"Type": "bind", "Source": source, "Target": target, "ReadOnly": mode == "ro"}
    if policy.home_in_berth not in made:
        raise Refused("HostConfig.Binds: the home is missing")
    return list(made.values())


def _allowed_mount(source: str, home: Path, policy: Policy) -> Mount | None:
    if source == str(home):
        return Mount(policy.home_in_berth, read_only=False)
    if source == str(snapshots_of(policy.homes, home.name)):
        return Mount(SNAPSHOTS_IN_BERTH, read_only=True)
    return policy.mounts.get(source)


def _limits(host: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    memory = _number(host, "Memory", LEAST_MEMORY, policy.memory)
    period = _number(host, "CpuPeriod", 1_000, 1_000_000)
    found = {
        "Memory": memory,
        "MemorySwap": _number(host, "MemorySwap", memory, memory),
        "CpuPeriod": period,
        "CpuQuota": _number(host, "CpuQuota", 1_000, int(policy.cpus * period)),
        "PidsLimit": _number(host, "PidsLimit", 1, policy.pids),
    }
    return found | _gpus(host, policy)


def _number(host: Mapping[str, Any], key: str, least: int, most: int) -> int:
    value = host.get(key)
    if type(value) is not int or not least <= value <= most:
        raise Refused(f"HostConfig.{key} is a number from {least} to {most}")
    return value


def _gpus(host: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    asked = host.get("DeviceRequests")
    if not asked:
        return {}
    one = asked[0] if isinstance(asked, list) and len(asked) == 1 else None
    if not isinstance(one, dict) or one.get("Capabilities") != [["gpu"]]:
        raise Refused("HostConfig.DeviceRequests: there is one, for GPUs")
    _only(one, frozenset({"Count", "Capabilities"}), "HostConfig.DeviceRequests.")
    count = one.get("Count")
    # All of them is -1, which is more than any number.
    within = (
        type(count) is int and (policy.gpus == -1 or count <= policy.gpus) and (count > 0 or count == -1 == policy.gpus)
    )
    if not within:
        raise Refused(f"HostConfig.DeviceRequests.Count is at most {policy.gpus} (-1: all)")
    return {"DeviceRequests": [{"Count": count, "Capabilities": [["gpu"]]}]}


def _root_file_system(host: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    if policy.read_only and host.get("ReadonlyRootfs") is not True:
        raise Refused("HostConfig.ReadonlyRootfs is true (jupyterhub_berth_read_only)")
    if (host.get("Tmpfs") or {}) != policy.scratch:
        raise Refused(f"HostConfig.Tmpfs is {dict(policy.scratch)}")
    return {"ReadonlyRootfs": policy.read_only, "Tmpfs": dict(policy.scratch)}


def _runtime(host: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    if (host.get("Runtime") or policy.runtime) != policy.runtime:
        raise Refused(f"HostConfig.Runtime is {policy.runtime or 'empty'} (docker_berth_runtime)")
    return {"Runtime": policy.runtime} if policy.runtime else {}


def _network(host: Mapping[str, Any], policy: Policy) -> str:
    if host.get("NetworkMode") != policy.network:
        raise Refused(f"HostConfig.NetworkMode is {policy.network}")
    return policy.network


def _security(host: Mapping[str, Any]) -> list[str]:
    given = host.get("SecurityOpt") or []
    if not isinstance(given, list) or not all(one in _NO_NEW_PRIVILEGES for one in given):
        raise Refused(f"HostConfig.SecurityOpt is {_NO_NEW_PRIVILEGES[0]}")
    return [_NO_NEW_PRIVILEGES[0]]


def _image(asked: Mapping[str, Any], policy: Policy) -> str:
    image = asked.get("Image")
    if not isinstance(image, str) or image not in policy.images:
        raise Refused(f"Image {str(image)[:200]!r} is none of the site's (notebook_image_profiles, broker_images)")
    return image


def _environment(asked: Mapping[str, Any]) -> list[str]:
    found = _texts(asked, "Env", ENVIRONMENT_BYTES_MAX)
    if not all(_VARIABLE.fullmatch(one) for one in found):
        raise Refused("Env is no list of NAME=VALUE")
    return found


def _ports(asked: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    ports = _object(asked, "ExposedPorts")
    if len(ports) != 1 or not all(_PORT.fullmatch(port) and value in (None, {}) for port, value in ports.items()):
        raise Refused("ExposedPorts: there is one TCP port")
    return {port: {} for port in ports}
