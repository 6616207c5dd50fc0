"""Secrets of a host: made once, on the host, and never leaving it.

`python -m berth_hub.secrets DIRECTORY` makes those that are missing and prints their names; what is there stays as it
is.
"""

import base64
import hashlib
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

COOKIE_SECRET = "cookie_secret"
ADMIN_PASSWORD = "admin_password"
OPERATOR_TOKEN = "operator_token"
METRICS_TOKEN = "metrics_token"
TRAEFIK_PASSWORD = "traefik_password"
TRAEFIK_USERS = "traefik_users"
TRAEFIK_USER = "berth"
# Not made here: the site has them from elsewhere.
CLIENT_SECRET = "oauth_client_secret"
LDAP_SEARCH_PASSWORD = "ldap_search_password"
SHARED_PASSWORD = "shared_password"
SHARED_ADMIN_PASSWORD = "shared_admin_password"

_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
"""No letters or digits that look like another: the admin's first password is typed by a person."""


def readable_password() -> str:
    """Four groups of four characters, 79 bits."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(4))


def _token() -> str:
    return secrets.token_hex(32)


def make_missing(directory: Path, hub_group: str, proxy_group: str, metrics_group: str | None = None) -> list[str]:
    """Make each secret that is missing, and return the names of those made.

    Args:
        directory: where they are kept.
        hub_group: group that may read the hub's secrets.
        metrics_group: group that may read the token for the hub's metrics, with the hub in it; by default the
            hub's.
        proxy_group: group that may read what Traefik checks its API's password against.
    """

    def users() -> str:
        # Plain SHA-1 is what Traefik checks fastest, and safe for 256 random bits; bcrypt would cost 50 ms a request.
        return _htpasswd(TRAEFIK_USER, (directory / TRAEFIK_PASSWORD).read_text().strip())

    recipes: dict[str, tuple[str, Callable[[], str]]] = {
        COOKIE_SECRET: (hub_group, _token),
        ADMIN_PASSWORD: (hub_group, readable_password),
        OPERATOR_TOKEN: (hub_group, _token),
        METRICS_TOKEN: (metrics_group or hub_group, _token),
        TRAEFIK_PASSWORD: (hub_group, _token),
        TRAEFIK_USERS: (proxy_group, users),
    }
    made: list[str] = []
    for name, (group, recipe) in recipes.items():
        path = directory / name
        # What is checked against the password is made anew with it.
        if path.exists() and not (name == TRAEFIK_USERS and TRAEFIK_PASSWORD in made):
            continue
        new = directory / f".{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(recipe() + "\n")
        shutil.chown(new, "root", group)
        new.chmod(0o640)
        new.rename(path)
        made.append(name)
    return made


def _htpasswd(user: str, password: str) -> str:
    digest = base64.b64encode(hashlib.sha1(password.encode(), usedforsecurity=False).digest()).decode()
    return f"{user}:{{SHA}}{digest}"


def main() -> int:
    """Entry point."""
    for name in make_missing(Path(sys.argv[1]), "berth", "berth-proxy", "berth-metrics"):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
