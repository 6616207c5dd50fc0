"""Tells why a host that has no git yet cannot read a repository, or nothing: `readable.py URL REF <CERTIFICATES`.

It asks a server what git would ask first; the certificates are those of the site, which such a host does not know yet.
"""

from __future__ import annotations

import re
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60
GIT_PORT = 9418
SSH_PORT = 22


def complaint(url: str, ref: str, certificates: str) -> str:
    """Why it cannot be read; empty if it can.

    Args:
        url: The repository's address.
        ref: Branch, tag or commit.
        certificates: The site's own CA certificates in PEM form, which a host that is new does not know yet.
    """
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return ask_web_server(url, ref, certificates)
    if parts.scheme == "file":
        return look_into_folder(Path(parts.path))
    if parts.scheme in ("ssh", "git") and parts.hostname:
        return knock(parts.hostname, parts.port or (SSH_PORT if parts.scheme == "ssh" else GIT_PORT))
    if found := re.fullmatch(r"(?:[^/@]+@)?([^/:]+):(?!//).*", url):
        return knock(found[1], SSH_PORT)
    return "no such kind of address: use https, ssh, git or file"


def missing(ref: str, refs: set[str]) -> str:
    """Whether a repository with these references lacks one; a commit can only be asked for by fetching it."""
    if not refs:
        return "the repository is empty"
    if (
        ref == "HEAD"
        or ref in refs
        or refs & {f"refs/heads/{ref}", f"refs/tags/{ref}"}
        or re.fullmatch(r"[0-9a-f]{40}", ref)
    ):
        return ""
    heads = sorted(name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/"))
    return f"it has no branch or tag {ref!r} (branches: {', '.join(heads[:10])})"


def ask_web_server(url: str, ref: str, certificates: str) -> str:
    """Ask as git would, for the list of references."""
    context = ssl.create_default_context()
    if certificates.strip():
        context.load_verify_locations(cadata=certificates)
    request = urllib.request.Request(  # noqa: S310 (the caller saw that it is http or https)
        f"{url.rstrip('/')}/info/refs?service=git-upload-pack", headers={"User-Agent": "git/2"}
    )
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            body = answer.read(4_000_000)
    except urllib.error.HTTPError as error:
        return f"the server answers {error.code} {error.reason}: no repository there, or one that asks for a password"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    refs = set(re.findall(r"[0-9a-f]{40}[ \t](\S+?)[\0\n]", body.decode("utf-8", "replace")))
    return missing(ref, refs) if refs else "what answers there is no git repository"


def look_into_folder(folder: Path) -> str:
    """Whether a folder of this host is a repository."""
    if not folder.is_dir():
        return f"this host has no folder {folder}"
    if any((place / "HEAD").is_file() for place in (folder, folder / ".git")):
        return ""
    return f"{folder} is no git repository"


def knock(name: str, port: int) -> str:
    """Whether anybody answers; more cannot be told without git."""
    try:
        socket.create_connection((name, port), timeout=TIMEOUT_SECONDS).close()
    except OSError as error:
        return f"{name} port {port}: {error}"
    return ""


if __name__ == "__main__":
    print(complaint(sys.argv[1], sys.argv[2], sys.stdin.read() if not sys.stdin.isatty() else ""))
