"""Which names people and groups may have, for the operator's API and the page to sign up alike."""

import re
from typing import Any

from berth_names import check_name

_GROUP = re.compile(r"\w[\w.-]{0,99}")


def user_name(authenticator: Any, name: str) -> str:
    """A user's name as the hub writes it, in lower case.

    Raises:
        ValueError: if it can be nobody's name; says what is allowed.
    """
    normal: str = authenticator.normalize_username(name)
    check_name(normal)
    if not authenticator.validate_username(normal):
        raise ValueError(f"{normal!r} is not a user name: no blanks, commas or slashes")
    return normal


def check_group(name: str) -> None:
    """Refuse what cannot be a group's name.

    Raises:
        ValueError: says what is allowed.
    """
    if not _GROUP.fullmatch(name):
        raise ValueError(
            f'{name!r} is not a group: use letters, digits, "_", "." and "-", at most 100, a letter or digit first'
        )
