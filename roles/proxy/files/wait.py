"""Waits until the hub answers: `wait.py SECONDS`. Fails and says why if it does not in time, or ends repeatedly."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

UNIT = "berth-hub.service"
SETTINGS = Path("/etc/berth/hub.json")
ENDS_MAX = 3
"""Once may be bad luck; one that ended three times ends the fourth time, too."""

POLL_SECONDS = 0.2
ASK_SECONDS = 5


def answers(url: str) -> bool:
    """Whether the hub is well."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ASK_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def ends() -> int:
    """How often systemd has started it again since somebody started it."""
    said = show("NRestarts")
    return int(said) if said.isdigit() else 0


def show(what: str) -> str:
    """A property of the hub's unit."""
    asked = ["systemctl", "show", f"--property={what}", "--value", UNIT]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def main(seconds: float) -> str:
    """Wait; returns why it was in vain, or nothing."""
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    url = f"{settings['hub_url']}{settings['base_url']}hub/health"
    before = ends()
    deadline = time.monotonic() + seconds
    while not answers(url):
        # Started anew meanwhile, systemd counts anew, too.
        before = min(before, now := ends())
        if now - before >= ENDS_MAX:
            return f"it ended {now - before} times while it was waited for"
        if show("ActiveState") == "failed":
            return "it ended, and is not started again"
        if time.monotonic() > deadline:
            return f"no answer within {seconds:.0f} s"
        time.sleep(POLL_SECONDS)
    return ""


if __name__ == "__main__":
    complaint = main(float(sys.argv[1]))
    if complaint:
        print(complaint)
        sys.exit(1)
