"""What the site offers beyond one kind of berth for everybody: profiles, limits of groups, shared folders, pages."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from berth_hub.settings.values import Bytes, Strict

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _slug(value: str) -> str:
    if not _SLUG.fullmatch(value):
        raise ValueError(f'"{value}" is no name of a profile: use up to 32 of a-z, 0-9 and "-", like "large-memory"')
    return value


def _folder_name(value: str) -> str:
    if not _FOLDER.fullmatch(value):
        raise ValueError(
            f'"{value}" is no name of a folder: use up to 63 letters, digits, ".", "_" and "-", no sign first'
        )
    return value


def _folder_path(value: Path) -> Path:
    # Of the system's own folders none is ever meant, and everybody could write to it.
    if not value.is_absolute() or ".." in value.parts or len(value.parts) < 3 or ":" in str(value):
        raise ValueError(
            f'"{value}" is no place for a folder: use a path like /srv/berth/folders/data, without ".." or ":"'
        )
    if value.parts[1] in ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "usr"):
        raise ValueError(f'"{value}" is no place for a folder: /{value.parts[1]} belongs to the system')
    if value.is_relative_to("/srv/berth") and not value.is_relative_to("/srv/berth/folders"):
        raise ValueError(f'"{value}" is no place for a folder: below /srv/berth only /srv/berth/folders is for them')
    return value


def _gpus(value: object) -> int:
    """Devices as Docker counts them, where -1 is all."""
    if value == "all":
        return -1
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= 64:
        raise ValueError(f'"{value}" is no number of GPUs: use 0, 1, 2 ... or all')
    return value


def _environment(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f'"{name}" is no name of a variable: use letters, digits and "_"')
        if name.startswith("JUPYTERHUB_"):
            raise ValueError(f'"{name}" is set by the hub: no profile or group may change it')
    return value


Slug = Annotated[str, AfterValidator(_slug)]
Gpus = Annotated[int, BeforeValidator(_gpus)]
Environment = Annotated[dict[str, str], AfterValidator(_environment)]


class Limits(Strict):
    """What one berth may use; None leaves a limit to whoever else has one."""

    memory: Bytes | None = None
    cpus: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    pids: int | None = Field(default=None, ge=32)
    gpus: Gpus | None = None
    environment: Environment = Field(default_factory=dict)


class Profile(Limits):
    """One kind of berth that users choose; an empty `image` is the notebook image of the site."""

    name: Slug
    title: str = ""
    description: str = ""
    image: str = Field(default="", pattern=r"^\S*$")
    default: bool = False
    groups: list[str] = Field(default_factory=list)


class Folder(Strict):
    """A folder of the host that appears below ~/shared; without groups everybody has it."""

    name: Annotated[str, AfterValidator(_folder_name)]
    path: Annotated[Path, AfterValidator(_folder_path)]
    mode: Literal["read-only", "group-writable"] = "read-only"
    groups: list[str] = Field(default_factory=list)


class Options(Strict):
    """All of it; what is left out is as a hub without options has it."""

    named_servers: int = Field(default=0, ge=0)
    start: Literal["straight", "page"] = "straight"
    announcement: str = ""
    logo: Literal["", "png", "jpg", "jpeg", "svg"] = ""
    active_servers_max: int = Field(default=0, ge=0)
    starts_at_once_max: int = Field(default=0, ge=0)
    gpus: Gpus = 0
    profiles: list[Profile] = Field(default_factory=list)
    groups: dict[str, Limits] = Field(default_factory=dict)
    folders: list[Folder] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for kind, names in (
            ("profiles", [profile.name for profile in self.profiles]),
            ("shared folders", [folder.name for folder in self.folders]),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f'two {kind} are named "{twice[0]}"')
        return self

    @model_validator(mode="after")
    def _everybody_has_a_profile(self) -> Self:
        defaults = [profile.name for profile in self.profiles if profile.default]
        if len(defaults) > 1:
            raise ValueError(f"more than one profile is the default: {', '.join(defaults)}")
        if self.profiles and all(profile.groups for profile in self.profiles):
            raise ValueError(
                "every profile is for some groups only: leave out the groups of one, or nobody else can start"
            )
        return self
