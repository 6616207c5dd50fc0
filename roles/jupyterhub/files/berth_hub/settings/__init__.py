"""The hub's settings as Ansible renders them to /etc/berth/hub.json, validated, with units turned into numbers."""

import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from berth_hub.settings.accounts import Accounts
from berth_hub.settings.authentication import Authentication
from berth_hub.settings.berths import Berth, Broker, Idle
from berth_hub.settings.monitoring import Monitoring
from berth_hub.settings.options import Options
from berth_hub.settings.people import People
from berth_hub.settings.subdomains import check_host
from berth_hub.settings.values import Address, PathPrefix, Strict

__all__ = [
    "Accounts",
    "Authentication",
    "Berth",
    "Broker",
    "Idle",
    "Monitoring",
    "Options",
    "People",
    "Settings",
    "load",
    "mistakes",
]


class Settings(Strict):
    """Everything that the hub is told from outside."""

    public_url: Address
    base_url: PathPrefix
    subdomains: bool = False
    hub_url: str = Field(pattern=r"^http://[^/]+$")
    state_directory: Path
    secrets_directory: Path
    shared_directory: Path
    homes_socket: Path
    shows_usage: bool = False
    routes_file: Path
    traefik_api_url: str = Field(pattern=r"^http://[^/]+$")
    berth: Berth
    accounts: Accounts
    authentication: Authentication
    people: People
    idle: Idle
    broker: Broker = Field(default_factory=Broker)
    options: Options = Field(default_factory=Options)
    monitoring: Monitoring = Field(default_factory=Monitoring)

    @model_validator(mode="after")
    def _signup_needs_own_accounts(self) -> Self:
        if self.people.signup != "closed" and self.authentication.way.method != "native":
            raise ValueError('jupyterhub_signup "approval" needs accounts of the hub: jupyterhub_auth "native"')
        return self

    @model_validator(mode="after")
    def _subdomains_need_a_name(self) -> Self:
        if self.subdomains:
            check_host(self.public_url)
        return self


def load(path: Path) -> Settings:
    """Read and validate.

    Raises:
        ValueError: with one line for each mistake: file, key, what is wrong and what is allowed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f"{path}: not JSON: {error}") from None
    found = mistakes(content)
    if found:
        raise ValueError(
            "\n".join(f"{path}: {'.'.join(map(str, where)) or 'the whole file'}: {what}" for where, what in found)
        )
    return Settings.model_validate(content)


def mistakes(content: Any) -> list[tuple[tuple[int | str, ...], str]]:
    """Judge what a file would hold.

    Args:
        content: The file's content, decoded.

    Returns:
        For each mistake the keys that lead to it, and what is wrong and what is allowed.
    """
    try:
        Settings.model_validate(content)
    except ValidationError as error:
        return [(problem["loc"], _what(problem)) for problem in error.errors()]
    return []


def _what(problem: ErrorDetails) -> str:
    given = problem["input"]
    if problem["type"] == "list_type" and isinstance(given, str):
        return f"{given!r} is no list: write it in brackets, like [{given}]"
    text = {"extra_forbidden": "no such setting", "missing": "is missing"}.get(problem["type"], problem["msg"])
    return text.removeprefix("Value error, ")
