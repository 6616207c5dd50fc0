"""Whether values are what they have to be, told by the variable that the site has set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_NAME = re.compile(r"\b[a-z_][a-z0-9_]*\b")

_TAKEN_OVER = re.compile(r"\{\{ *(?P<name>[a-z_][a-z0-9_]*) *\}\}")

_NO_CONVERSION = re.compile(r"argument '(?P<name>\w+)' is of type \w+ and we were unable to convert to (?P<kind>\w+)")

_KINDS = {
    "bool": "true or false",
    "dict": "keys with values",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "path": "a path",
    "str": "text",
}


def mistyped(options: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Compare values with what a role declares, as the role itself will when its turn comes.

    Args:
        options: Those of a role's argument specification.
        values: The variables that are set.
    """
    given = {name: values[name] for name in options if name in values}
    told = []
    for name, value in given.items():
        choices = options[name].get("choices")
        # Ansible itself takes false for the choice "off", and leaves the value as it is.
        if isinstance(value, bool) and choices and options[name].get("type") == "str":
            told.append(
                f"{name}: {str(value).lower()} is none of {', '.join(choices)}; YAML takes off, on, yes and no without"
                f" quotes for false and true: write 'off' (in quotes) if that is what you mean"
                if "off" in choices
                else f"{name}: {str(value).lower()} is none of {', '.join(choices)}"
            )
            given = {**given, name: choices[0]}
    result = ArgumentSpecValidator(dict(options)).validate(given, validate_role_argument_spec=True)
    return told + [_told(str(message), options, given) for message in result.error_messages]


def _told(message: str, options: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    secret = next((name for name, option in options.items() if option.get("no_log") and name in message), None)
    if secret:
        return (
            f"{secret}: its value, which is not shown, is not {_KINDS.get(options[secret].get('type', 'str'), 'right')}"
        )
    found = _NO_CONVERSION.match(message)
    if found and found["name"] in given:
        return f"{found['name']}: {given[found['name']]!r} is not {_KINDS.get(found['kind'], found['kind'])}"
    return message


def variables_of(raw: Any, where: Iterable[Any], variables: Mapping[str, Any], public: Iterable[str]) -> list[str]:
    """Find out which variables decide a value of the hub's settings.

    Args:
        raw: The settings before Ansible filled anything in.
        where: Keys and positions that lead to the value.
        variables: All that there are, not filled in, to look through those that are internal.
        public: Names that a site may set.
    """
    found = raw
    for key in where:
        if (isinstance(found, dict) and key in found) or (
            isinstance(found, list) and isinstance(key, int) and key < len(found)
        ):
            found = found[key]
        else:
            break
    return sorted(_mentioned(found, variables, set(public), set()))


def _mentioned(value: Any, variables: Mapping[str, Any], public: set[str], seen: set[str]) -> set[str]:
    names = set(_NAME.findall(str(value))) - seen
    seen |= names
    found = {_set_by_the_site(name, variables, public) for name in names & public}
    for name in names:
        if name.startswith("__") and name in variables:
            found |= _mentioned(variables[name], variables, public, seen)
    return found


def _set_by_the_site(name: str, variables: Mapping[str, Any], public: set[str]) -> str:
    """A variable's name, or that of the one whose value it simply takes over, as some do by default."""
    for _ in public:
        other = _TAKEN_OVER.fullmatch(str(variables.get(name)))
        if not other or other["name"] not in public:
            break
        name = other["name"]
    return name


NAMES_MAX = 4
"""Variables that are named as the ones to blame. More than these are what a whole part of the hub is made of, and what
is wrong between them tells their names itself."""


def hub_mistakes(
    settings: Any,
    judge: Callable[[Any], list[tuple[tuple[Any, ...], str]]],
    origin: Callable[[tuple[Any, ...]], list[str]],
) -> list[str]:
    """Judge the hub's settings, and name the variables that are to blame.

    Args:
        settings: What would become hub.json.
        judge: Returns where mistakes are, and what each is.
        origin: Returns which variables decide the value at a place.
    """
    told = []
    for where, what in judge(settings):
        key = ".".join(map(str, where)) or "the whole file"
        names = origin(where)
        if len(names) > NAMES_MAX:
            names = []
        told.append(f"{' and '.join(names)}: {what} ({key} of hub.json)" if names else f"{key} of hub.json: {what}")
    return told
