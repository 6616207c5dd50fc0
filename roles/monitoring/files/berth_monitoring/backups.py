"""What became of the last backup and the last check of its repository (role backup)."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/berth/backup.json")
RESULTS = Path("/var/lib/berth/backup/results.json")


def figures(settings_file: Path = SETTINGS, results_file: Path = RESULTS) -> dict[str, float]:
    """Figures by name, without `berth_backup_`; none where no backups are made."""
    try:
        settings: dict[str, Any] = json.loads(settings_file.read_text(encoding="utf-8"))
        results: dict[str, Any] = json.loads(results_file.read_text(encoding="utf-8"))
        last, good, verify = (results.get(name) or {} for name in ("backup", "good", "verify"))
        since = _seconds(good.get("ended") or results["since"])
        return {
            "failed": float(last.get("result", "ok") != "ok"),
            "damaged": float(verify.get("result", "ok") != "ok"),
            "due_seconds": since + settings["overdue_hours"] * 3600,
            **({"good_seconds": _seconds(good["ended"]), "good_bytes": float(good["bytes"])} if good else {}),
        }
    except (OSError, ValueError, KeyError):
        return {}


def _seconds(moment: str) -> float:
    return dt.datetime.fromisoformat(moment).timestamp()
