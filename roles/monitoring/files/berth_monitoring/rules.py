"""The alert rules: what is wrong, since when, and what the operator is told to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from berth_monitoring.settings import Settings

LONG = "Look with `./berth status` and `./berth logs`."


def rules(settings: Settings) -> dict[str, Any]:
    """A rule file of Prometheus, as data."""
    limits = settings.thresholds
    wait = f"{limits.after_seconds}s"
    found = [
        _rule(
            "BerthHubDown",
            'up{job="hub"} == 0',
            wait,
            "critical",
            "The hub does not answer",
            f"Nobody can log in or start a server; servers that run go on. {LONG}",
        ),
        _rule(
            "BerthProxyDown",
            'up{job="proxy"} == 0',
            wait,
            "critical",
            "The proxy does not answer",
            f"Nobody reaches the hub or a server. {LONG}",
        ),
        _rule(
            "BerthEngineDown",
            "berth_engine_up == 0",
            wait,
            "critical",
            "The container engine does not answer",
            f"No server can be started or stopped. {LONG}",
        ),
        _rule(
            "BerthDiskNearlyFull",
            f"100 * (1 - berth_disk_available_bytes / berth_disk_size_bytes) > {limits.disk_percent}",
            wait,
            "warning",
            "The disk that holds {{ $labels.path }} is nearly full",
            '{{ $value | printf "%.0f" }} % are in use. Remove what is not needed, or make the disk larger.',
        ),
        _rule(
            "BerthMemoryShort",
            f"100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) > {limits.memory_percent}",
            wait,
            "warning",
            "The host is short of memory",
            '{{ $value | printf "%.0f" }} % are in use. The status page tells who uses how much.',
        ),
        _rule(
            "BerthCertificateExpiresSoon",
            f"0 < berth_certificate_expires_seconds - time() < {limits.certificate_days} * 86400",
            "0s",
            "warning",
            "The proxy's certificate expires in {{ $value | humanizeDuration }}",
            "Renew it; a generated one is renewed by the next `./berth up`.",
        ),
        _rule(
            "BerthCertificateExpired",
            "berth_certificate_expires_seconds - time() <= 0",
            "0s",
            "critical",
            "The proxy's certificate has expired",
            "Browsers refuse the hub. Renew it; a generated one is renewed by the next `./berth up`.",
        ),
        _rule(
            "BerthStartsFail",
            f"increase(berth_failed_starts_total[15m]) > {limits.failed_starts - 0.5}",
            "0s",
            "warning",
            "Servers fail to start",
            'About {{ $value | printf "%.0f" }} in the last 15 minutes. The status page tells whose, and why.',
        ),
        _rule(
            "BerthBackupFailed",
            "berth_backup_failed == 1",
            "0s",
            "critical",
            "The last backup failed or is incomplete",
            "`./berth status` says why; `./berth backup now` tries again.",
        ),
        _rule(
            "BerthBackupOverdue",
            "time() > berth_backup_due_seconds",
            "0s",
            "critical",
            "There was no good backup for too long",
            "Look with `systemctl list-timers berth-backup.timer` and `./berth status`.",
        ),
        _rule(
            "BerthBackupDamaged",
            "berth_backup_damaged == 1",
            "0s",
            "critical",
            "The check of the backups' repository failed",
            "Snapshots may not be restorable. `./berth status` says what was found; docs/backup.md says what to do.",
        ),
        _rule(
            "BerthMonitoringIncomplete",
            'up{job=~"node|berths"} == 0',
            wait,
            "warning",
            "A part of monitoring itself does not answer: {{ $labels.job }}",
            "Look with `systemctl status prometheus-node-exporter berth-exporter`.",
        ),
    ]
    return {"groups": [{"name": "berth", "rules": found}]}


def _rule(name: str, expression: str, wait: str, severity: str, *told: str) -> dict[str, Any]:
    summary, description = told
    return {
        "alert": name,
        "expr": expression,
        "for": wait,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }
