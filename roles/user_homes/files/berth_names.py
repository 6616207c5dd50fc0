"""From a user's name to the name of everything that is theirs on the host: home and container.

Used by the root helper that makes homes and by the hub, so that both always mean the same directory.
"""

import hashlib
import re
import unicodedata

MAX_NAME_LENGTH = 255
"""Characters: what JupyterHub's own database column for user names holds."""

_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""Names that may serve as they are: valid for Docker, for any file system, and a DNS label's length."""

_HASHED = re.compile(r".*--[0-9a-f]{16}")
"""The form that `directory_name` gives to all other names; a name that looks like it already is not safe."""


def check_name(name: str) -> None:
    """Refuse what can be nobody's name.

    Raises:
        ValueError: says what is wrong with it.
    """
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise ValueError(f"a user name has 1 to {MAX_NAME_LENGTH} characters, this one {len(name)}")
    if name in (".", ".."):
        raise ValueError(f"{name!r} is not a user name")
    if "/" in name or "`" in name:
        raise ValueError(f'user name {name!r} holds a "/" or a back-tick')
    if name != name.strip():
        raise ValueError(f"user name {name!r} starts or ends with white space")
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise ValueError(f"user name {name!r} holds a control character")


def directory_name(name: str) -> str:
    """Directory of a user below the homes' root, also the last part of the container's name.

    A plain name stands for itself. Any other is written with the characters that fit and the first 64 bits of its
    SHA-256, so that two names share a directory only if they are the same name.

    Raises:
        ValueError: if it can be nobody's name.
    """
    check_name(name)
    if _SAFE.fullmatch(name) and not _HASHED.fullmatch(name):
        return name
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32].strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{readable or 'user'}--{digest}"


def container_name(user: str, server: str = "") -> str:
    """Container of one of a user's servers: `berth-<directory of the home>`, and the server's name if it has one.

    A name with a dot ends in another one, so that the server of the user `alice.gpu` and alice's server `gpu` have
    containers of their own.

    Args:
        user: The user's name.
        server: The server's name, which JupyterHub lets have no dot; empty for the default server.

    Raises:
        ValueError: if it can be nobody's name.
    """
    return container_of(directory_name(user), server)


def container_of(directory: str, server: str = "") -> str:
    """As `container_name`, for who knows the directory of a user's home and not the user's name."""
    name = f"berth-{directory}"
    if server:
        return f"{name}.{server}"
    return f"{name}." if "." in name else name
