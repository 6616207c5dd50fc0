"""Who of another hub comes, with what, and who cannot: from what both hubs say of their people."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HASH = re.compile(r"\$2[aby]\$12\$[./A-Za-z0-9]{53}")
"""What the hub can compare a password with: bcrypt, with as many rounds as its own."""

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are easily taken for one another: i, l, 1, o, 0."""


def berth_adoption(
    looked: Mapping[str, Any], hub: Mapping[str, Any], only: Sequence[str], existing: str, date: str
) -> dict[str, Any]:
    """Plan who comes.

    Args:
        looked: What was found of the other hub: people, and what was brought from there before (`noted`).
        hub: What Berth's hub answers.
        only: Names of those who shall come; none: all.
        existing: What to do with those who have an account or a home here that was not brought from there: `refuse`,
            `skip` or `into`.
        date: Today, for the names of folders.

    Returns:
        `homes` to bring, `accounts` to make, who is `done` already, who is `left_out` since they are here already,
        `clashes`, and further `problems`.
    """
    here = {one["name"] for one in hub["users"]}
    noted = looked["noted"]
    wanted = [one for one in looked["people"] if not only or one["name"] in only]
    names = {one["name"] for one in looked["people"]}
    plan: dict[str, list[Any]] = {key: [] for key in ("homes", "accounts", "done", "left_out", "clashes", "problems")}
    plan["problems"] = [f"there is no {name} there" for name in only if name not in names]
    for one in wanted:
        name = one["name"]
        if "problem" in one:
            plan["problems"].append(one["problem"])
            continue
        strange_home = one["home_there"] and name not in noted["homes"]
        strange_account = name in here and name not in noted["accounts"]
        if strange_home or strange_account:
            plan["clashes"].append(name)
            if existing != "into":
                plan["left_out"].append(name)
                continue
        if one["home"] and (strange_home or not one["home_there"]):
            folder = f"adopted-{date}" if strange_home else ""
            plan["homes"].append(
                {key: one[key] for key in ("name", "home", "place", "files", "bytes")} | {"folder": folder}
            )
        if name not in here:
            groups = [] if hub["groups_elsewhere"] else one["groups"]
            plan["accounts"].append({"name": name, "groups": groups, **({"admin": True} if one["admin"] else {})})
        if (not one["home"] or (one["home_there"] and not strange_home)) and name in here:
            plan["done"].append(name)
    if existing != "refuse":
        plan["clashes"] = []
    return plan


def berth_adopted(plan: Mapping[str, Any], hashes: Mapping[str, str], *, ours: bool) -> list[dict[str, Any]]:
    """The accounts of a plan as the hub takes them, with passwords made up for those who bring none.

    Args:
        plan: What `berth_adoption` gave.
        hashes: What the other hub keeps of passwords.
        ours: Whether passwords are the hub's business.
    """
    return [
        {**one, **({"password_hash": hashes[one["name"]]} if _fits(hashes, one["name"]) else _made_up())}
        if ours
        else one
        for one in plan["accounts"]
    ]


def berth_without_password(plan: Mapping[str, Any], hashes: Mapping[str, str]) -> list[str]:
    """For whom a password has to be made up."""
    return [one["name"] for one in plan["accounts"] if not _fits(hashes, one["name"])]


def _fits(hashes: Mapping[str, str], name: str) -> bool:
    return HASH.fullmatch(hashes.get(name, "")) is not None


def _made_up() -> dict[str, Any]:
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
    return {"password": "-".join(groups), "generated": True}


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """The filters by their names."""
        return {
            "berth_adoption": berth_adoption,
            "berth_adopted": berth_adopted,
            "berth_without_password": berth_without_password,
        }
