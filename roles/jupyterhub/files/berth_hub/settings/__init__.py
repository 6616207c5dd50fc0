"""The hub's settings as Ansible renders them to /etc/berth/hub.json, validated, with units turned into numbers."""

import json
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from berth_hub.settings.accounts import Accounts
from berth_hub.settings.berths import Berth, Idle
from berth_hub.settings.people import People
from berth_hub.settings.values import PathPrefix, Strict

__all__ = ["Accounts", "Berth", "Idle", "People", "Settings", "load"]


class Settings(Strict):
    """Everything that the hub is told from outside."""

    public_url: str = Field(pattern=r"^https?://[^/]+$")
    base_url: PathPrefix
    hub_url: str = Field(pattern=r"^http://[^/]+$")
    state_directory: Path
    secrets_directory: Path
    shared_directory: Path
    homes_socket: Path
    routes_file: Path
    traefik_api_url: str = Field(pattern=r"^http://[^/]+$")
    berth: Berth
    accounts: Accounts
    people: People
    idle: Idle


def load(path: Path) -> Settings:
    """Read and validate.

    Raises:
        ValueError: with one line for each mistake: file, key, what is wrong and what is allowed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f"{path}: not JSON: {error}") from None
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise ValueError("\n".join(f"{path}: {_line(problem)}" for problem in error.errors())) from None


def _line(problem: ErrorDetails) -> str:
    key = ".".join(map(str, problem["loc"])) or "the whole file"
    text = {"extra_forbidden": "no such setting", "missing": "is missing"}.get(problem["type"], problem["msg"])
    return f"{key}: {text.removeprefix('Value error, ')}"
