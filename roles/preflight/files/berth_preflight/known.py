"""Which variables there are: what all roles declare, read from their files, so that a new role needs no entry here."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # a PyYAML without libyaml, ten times as slow
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SET_FACT = "ansible.builtin.set_fact"


@dataclass
class Declared:
    """What the roles of a folder declare.

    Attributes:
        specs: The options of each role's main entry point, as in its meta/argument_specs.yml.
        names: All variables that any role knows, from its specs, defaults and vars, and the facts that it sets.
    """

    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What the roles' variables begin with."""
        return tuple(f"{role}_" for role in self.specs)


def declared(roles: Path) -> Declared:
    """Read what all roles declare.

    Args:
        roles: The folder that holds them.
    """
    found = Declared()
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        entries = _read(path).get("argument_specs", {})
        found.specs[path.parts[-3]] = (entries.get("main") or {}).get("options") or {}
        for entry in entries.values():
            found.names.update(entry.get("options") or {})
        for part in ("defaults", "vars"):
            for more in sorted((path.parents[1] / part).glob("*.yml")):
                found.names.update(_read(more))
        for tasks in path.parents[1].glob("tasks/*.yml"):
            text = tasks.read_text(encoding="utf-8")
            if SET_FACT in text:
                found.names.update(_facts(yaml.load(text, Loader)))
    return found


def _facts(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _facts(item)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == SET_FACT:
                yield from value
            else:
                yield from _facts(value)


def unknown(names: Iterable[str], known: Declared, own: Iterable[str] = ()) -> list[str]:
    """Say which names begin as a role's variables do and are none, each with the nearest that is one.

    Args:
        names: Of all variables that a host has.
        known: What the roles declare.
        own: Names that the site uses for itself.
    """
    allowed = known.names | set(own)
    strangers = sorted(name for name in names if name.startswith(known.prefixes) and name not in allowed)
    return [_stranger(name, known) for name in strangers]


def _stranger(name: str, known: Declared) -> str:
    public = sorted(candidate for candidate in known.names if not candidate.startswith("_"))
    nearest = difflib.get_close_matches(name, public, n=1, cutoff=0.75)
    if nearest:
        what_to_do = f"did you mean {nearest[0]}?"
    else:
        role = max((role for role in known.specs if name.startswith(f"{role}_")), key=len)
        what_to_do = f"roles/{role}/defaults/main.yml has those that there are."
    return f"{name}: Berth has no such variable; {what_to_do} (One of your own: list it in preflight_own_variables.)"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] | None = yaml.load(path.read_text(encoding="utf-8"), Loader)
    return content or {}
