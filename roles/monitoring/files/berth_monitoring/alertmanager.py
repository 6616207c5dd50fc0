"""What Alertmanager is told: where alerts go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from berth_monitoring.settings import Settings


def destinations(path: Path) -> dict[str, Any] | None:
    """Where alerts go, as Ansible rendered it; None if nowhere.

    Raises:
        ValueError: if the file is not JSON.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return content


def configuration(where: dict[str, Any]) -> dict[str, Any]:
    """Alertmanager's configuration file, as data.

    Args:
        where: What `destinations` returns.
    """
    receiver: dict[str, Any] = {"name": "site"}
    made: dict[str, Any] = {
        "route": {
            "receiver": "site",
            "group_by": ["alertname"],
            # Several alerts of one cause come together.
            "group_wait": where["group_wait"],
            "group_interval": "1m",
            "repeat_interval": where["repeat"],
        },
        "receivers": [receiver],
    }
    if where["mail"]:
        made["global"] = {
            "smtp_smarthost": where["smtp"],
            "smtp_from": where["mail_from"],
            "smtp_require_tls": where["smtp_tls"],
        }
        if where["smtp_user"]:
            made["global"] |= {
                "smtp_auth_username": where["smtp_user"],
                "smtp_auth_password": where["smtp_password"],
            }
        receiver["email_configs"] = [
            {
                "to": ", ".join(where["mail"]),
                "send_resolved": True,
                "headers": {
                    "Subject": "[berth] {{ .Status }}: {{ range .Alerts }}{{ .Annotations.summary }}; {{ end }}"
                },
                "html": "",
                "text": (
                    "{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
                    "Since {{ .StartsAt }}\n\n{{ end }}{{ .ExternalURL }}\n"
                ),
            }
        ]
    if where["webhook"]:
        receiver["webhook_configs"] = [{"url": url, "send_resolved": True} for url in where["webhook"]]
    return made


def arguments(settings: Settings, directory: str) -> list[str]:
    """How Alertmanager is started.

    Args:
        settings: What the site decided.
        directory: Where its configuration is.
    """
    return [
        "/usr/bin/prometheus-alertmanager",
        f"--config.file={directory}/alertmanager.yml",
        f"--web.listen-address=127.0.0.1:{settings.ports.alertmanager}",
        # Alone: no cluster, no port for one.
        "--cluster.listen-address=",
        "--storage.path=/var/lib/prometheus/alertmanager",
        # Where a mail's link leads.
        f"--web.external-url={settings.status_url}",
        "--web.route-prefix=/",
        "--log.level=warn",
    ]
