"""What the hub's address must be like for users to have names below it."""

import re
from urllib.parse import urlsplit

HOST_LENGTH_MAX = 189
"""Characters: with a label of 63 and a dot before it, a name has the 253 that DNS allows."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def check_host(public_url: str) -> None:
    """Refuse an address below which there can be no names.

    Raises:
        ValueError: says what is allowed.
    """
    host = urlsplit(public_url).hostname or ""
    labels = host.split(".")
    if (
        len(labels) < 2
        or labels[-1].isdigit()  # an address
        or len(host) > HOST_LENGTH_MAX
        or not all(_LABEL.fullmatch(part) for part in labels)
    ):
        raise ValueError(
            f'"{host}" in proxy_public_url can have no names of users below it (jupyterhub_subdomains): use a name of '
            f"DNS with a dot and at most {HOST_LENGTH_MAX} characters, like hub.example.org"
        )
