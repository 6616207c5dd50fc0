"""Units and containers of a host, as systemd and the engine tell of them."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from berth_release import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

HUB = "berth-hub.service"
PROXY = "berth-proxy.service"
FIREWALL = "berth-firewall.service"
READS = "opt/berth/reads"
"""Lines that tell of each unit what it reads when it starts (roles/base/files/look.sh)."""

BUILT = ("berth/notebook", "berth/base")
"""Images that were built on the host; a site's own are never removed."""

WATCH = "berth-upgrade-watch"
WATCH_EVERY_SECONDS = 15

COMMAND_SECONDS = 300
ASK_SECONDS = 5
POLL_SECONDS = 0.2


def run(*command: str, check: bool = False) -> str:
    """What a command prints; of one that fails, nothing."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=check)
    return done.stdout if done.returncode == 0 else ""


def running() -> list[str]:
    """Units of Berth's that are started for good: those that one request starts, like the home helper's, are not."""
    listing = run("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "berth-*")
    names = [line.split()[0] for line in listing.splitlines() if line.split()]
    kinds = (".service", ".socket", ".timer")
    return sorted(name for name in names if "@" not in name and name.endswith(kinds) and not name.startswith(WATCH))


def units_of(names: Iterable[str]) -> set[str]:
    """Units of Berth's among names of files."""
    folder = "etc/systemd/system/"
    found = {name.removeprefix(folder) for name in names if name.startswith(f"{folder}berth-")}
    return {name for name in found if "/" not in name and "@" not in name}


def drop(units: Iterable[str]) -> None:
    """Stop for good what the release that comes has not."""
    for unit in sorted(units):
        run("systemctl", "disable", "--now", unit)


def lists(root: Path) -> list[tuple[str, list[str]]]:
    """Units, each with what it reads when it starts."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((root / READS).glob("*"))]
    lines = [line.split() for text in texts for line in text.splitlines()]
    return [(words[0], words[1:]) for words in lines if words]


def readers(listed: Iterable[tuple[str, list[str]]], changed: Iterable[str]) -> list[str]:
    """Units that read something of what has changed, in the order of the lists, each once."""
    paths = [f"/{name}" for name in changed]
    found = [
        unit for unit, patterns in listed if any(_is_within(path, pattern) for path in paths for pattern in patterns)
    ]
    return list(dict.fromkeys(found))


def _is_within(path: str, pattern: str) -> bool:
    return fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path, f"{pattern}/*")


def restart(units: Sequence[str]) -> None:
    """Restart what is started, but for the hub; systemd changes nothing of a socket whose service runs."""
    wanted = [unit for unit in units if unit != HUB]
    sockets = [unit for unit in wanted if unit.endswith(".socket")]
    for unit in wanted:
        if unit == FIREWALL:
            # Never without it; and the engine would be stopped with it.
            run("systemctl", "reload", unit)
        elif unit not in sockets:
            started_by_socket = run("systemctl", "show", "--property=TriggeredBy", "--value", unit).strip()
            run("systemctl", "stop" if started_by_socket else "try-restart", unit)
    for unit in sockets:
        run("systemctl", "stop", unit.replace(".socket", ".service"))
        run("systemctl", "try-restart", unit)


def start(units: Iterable[str]) -> None:
    """Start what ran in a release; the hub last."""
    for unit in sorted(units, key=lambda name: name == HUB):
        run("systemctl", "start", unit)


def wait_until_healthy(root: Path, seconds: float) -> bool:
    """Whether the hub answers and the proxy runs, within some time."""
    settings = record.read(root / "etc/berth/hub.json")
    url = f"{settings.get('hub_url')}{settings.get('base_url')}hub/health"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _answers(url) and run("systemctl", "is-active", PROXY).strip() == "active":
            return True
        time.sleep(POLL_SECONDS)
    return False


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ASK_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def arm(seconds: int) -> None:
    """Have the host look after itself until an upgrade is through: whoever began it may be gone."""
    disarm()
    run(
        "systemd-run", f"--unit={WATCH}", "--collect",
        f"--on-active={WATCH_EVERY_SECONDS}", f"--on-unit-inactive={WATCH_EVERY_SECONDS}",
        "--timer-property=AccuracySec=1",
        "--setenv=PYTHONPATH=/opt/berth/lib", "--setenv=PYTHONDONTWRITEBYTECODE=1",
        "/usr/bin/python3", "-m", "berth_release", "watch", str(seconds),
        check=True,
    )  # fmt: skip


def disarm() -> None:
    """An upgrade is through."""
    run("systemctl", "stop", f"{WATCH}.timer")


def last_lines(count: int) -> list[str]:
    """What the hub said last."""
    asked = ["journalctl", f"--unit={HUB}", f"--lines={count}", "--no-pager", "--output=cat"]
    return run(*asked).splitlines()


def prune_images(wanted: set[str]) -> list[str]:
    """Remove images that were built here, and that no release and no container needs; returns their names."""
    listing = run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    built = [name for name in listing if name.startswith(tuple(f"{repository}:" for repository in BUILT))]
    if not built:
        return []
    facts: list[dict[str, Any]] = json.loads(run("docker", "image", "inspect", *built, check=True))
    containers = run("docker", "ps", "--all", "--quiet", "--no-trunc").split()
    used = set(run("docker", "inspect", "--format", "{{.Image}}", *containers).split()) if containers else set()
    kept = [one for one in facts if one["Id"] in used or wanted.intersection(one["RepoTags"] or [])]
    # Without one that is wanted, nothing tells which base the next build may begin with.
    if not wanted.intersection(name for one in kept for name in one["RepoTags"] or []):
        return []
    gone = [
        name
        for one in facts
        if one not in kept and not any(is_base(one, other) for other in kept)
        for name in one["RepoTags"] or []
        if name in built
    ]
    # Not by force: the engine refuses what a container has been made of meanwhile.
    return [name for name in gone if run("docker", "image", "rm", name)]


def is_base(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether an image was built on another."""
    layers: list[str] = one["RootFS"].get("Layers") or []
    return bool(layers) and other["RootFS"].get("Layers", [])[: len(layers)] == layers
