#!/opt/berth/hub/bin/python -I
"""Asks the host's PAM whether a password is right: what the hub, which is not root, cannot.

Answers one request of a socket-activated service on its standard input: a line of JSON {"name", "password"} comes in,
{"admitted": true} or {"admitted": false} goes out. Why somebody was refused stays in the journal.
"""

import json
import sys
from typing import BinaryIO, TextIO

import pamela

SERVICE = "berth"
"""File in /etc/pam.d."""

REQUEST_BYTES_MAX = 8192
"""With the end of its line."""

NAME_CHARACTERS_MAX = 256
"""As many as LOGIN_NAME_MAX of Linux has."""


def is_name(name: str) -> bool:
    """Whether PAM may be asked about the name: some of its modules make files or commands of names."""
    return (
        0 < len(name) <= NAME_CHARACTERS_MAX
        and name.isprintable()
        and "/" not in name
        and name not in (".", "..")
        and not name.startswith("-")
    )


def admitted(name: str, password: str) -> bool:
    """Whether the password is right, and the account neither locked nor expired."""
    try:
        pamela.authenticate(name, password, service=SERVICE, resetcred=False)
        pamela.check_account(name, service=SERVICE)
    except pamela.PAMError as error:
        print(f"refused {name!r}: {error}", file=sys.stderr)
        return False
    return True


def serve(source: BinaryIO, answer: TextIO) -> None:
    """Answer one request."""
    try:
        line = source.readline(REQUEST_BYTES_MAX)
        if not line.endswith(b"\n"):
            raise ValueError(f"a request is one line of at most {REQUEST_BYTES_MAX} bytes")
        request = json.loads(line)
        name, password = request["name"], request["password"]
        if not (isinstance(name, str) and isinstance(password, str)):
            raise TypeError("name and password are texts")
        # PAM ends a password at a NUL, and an empty one is right for accounts that have none.
        right = is_name(name) and bool(password) and "\0" not in password and admitted(name, password)
        reply = {"admitted": right}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # Not the error itself, which may quote what was sent.
        print(f"not a request: {type(error).__name__}", file=sys.stderr)
        reply = {"admitted": False}
    json.dump(reply, answer)
    answer.write("\n")
    answer.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout)
