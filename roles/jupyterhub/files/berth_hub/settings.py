"""The hub's settings as Ansible renders them to /etc/berth/hub.json, validated, with units turned into numbers."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def bytes_of(value: object) -> int:
    """Bytes from a number with the unit K, M, G or T (powers of 1024), or from a plain number of bytes.

    Raises:
        ValueError: says what is allowed.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([KMGT])", str(value).strip())
    amount = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not amount:  # of less than a byte, too: 0 is no limit to Docker
        raise ValueError(f'"{value}" is no amount of memory: use a number with K, M, G or T, like 2G')
    return amount


def _absolute_path_prefix(value: str) -> str:
    if not re.fullmatch(r"/([A-Za-z0-9._~-]+/)*", value):
        raise ValueError(f'"{value}" is no base URL: use a path that starts and ends with "/", like / or /jupyter/')
    return value


Bytes = Annotated[int, BeforeValidator(bytes_of)]
PathPrefix = Annotated[str, AfterValidator(_absolute_path_prefix)]


class _Strict(BaseModel):
    """Unknown keys are mistakes: a limit with a typing error in its name must not silently be no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Berth(_Strict):
    """What every berth gets."""

    image: str = Field(min_length=1)
    network: str = Field(min_length=1)
    memory: Bytes
    cpus: float = Field(gt=0, allow_inf_nan=False)
    pids: int = Field(ge=32)
    environment: dict[str, str] = {}
    default_url: str = Field(pattern=r"^/")
    home: Path = Path("/home/jovyan")
    notebooks_folder: str = Field(pattern=r"^[^/.][^/]*$")
    start_timeout_seconds: int = Field(ge=10)


class Accounts(_Strict):
    """Who may log in, and how hard it is to guess a way in."""

    admins: list[str] = Field(min_length=1)
    password_length_min: int = Field(ge=8, le=72)
    failed_logins_max: int = Field(ge=1)
    lockout_seconds: int = Field(ge=1)


class Idle(_Strict):
    """When a server that nobody uses is stopped; `after_seconds` 0 is never."""

    after_seconds: int = Field(ge=0)
    check_every_seconds: int = Field(ge=5)


class Settings(_Strict):
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


def main() -> int:
    """Check a file from the command line: `python -m berth_hub.settings FILE`; exit code 1 if it is not valid."""
    try:
        load(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
