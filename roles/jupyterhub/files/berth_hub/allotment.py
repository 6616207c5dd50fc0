"""What a berth gets: from the site's settings, the groups that its user is in, and the profile that was chosen."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from berth_hub.settings.options import Folder, Limits, Options, Profile

SHARED_IN_BERTH = "/opt/berth/shared"
"""Where the shared directory appears: the published notebooks, and what starts a berth."""

SNAPSHOTS_IN_BERTH = "/opt/berth/snapshots"
"""Where the snapshots of a user's home appear, read-only; `start` has a link in the home lead there.

Not in the home itself: what is mounted there needs a folder, for which a home that is full has no room, and in whose
place its user may have put something else.
"""

FOLDERS_IN_BERTH = "shared"
"""Where shared folders appear, below the home."""


@dataclass(frozen=True)
class Allotment:
    """What one berth gets: `memory` in bytes, `gpus` -1 for all; None (no limit) comes only from a fragment."""

    image: str
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    gpus: int = 0
    environment: dict[str, Any] = field(default_factory=dict)


def profiles_for(options: Options, groups: Collection[str]) -> list[Profile]:
    """The profiles that somebody in these groups may choose, in the site's order."""
    return [profile for profile in options.profiles if not profile.groups or set(profile.groups) & set(groups)]


def default_profile(offered: list[Profile]) -> Profile | None:
    """The one that is marked as the default, else the first; None where the site has no profiles."""
    return next((profile for profile in offered if profile.default), offered[0] if offered else None)


def allot(options: Options, of_all: Allotment, groups: Collection[str], profile: Profile | None) -> Allotment:
    """Find every limit where it is said first: in the profile, in the groups (the largest of them), for all berths."""
    member_of = [options.groups[name] for name in sorted(options.groups) if name in groups]

    def limit(name: str) -> Any:
        chosen = getattr(profile, name, None)
        if chosen is not None:
            return chosen
        found = [value for one in member_of if (value := getattr(one, name)) is not None]
        # All GPUs, which Docker writes as -1, are more than any number of them.
        return max(found, key=lambda value: float("inf") if value < 0 else value, default=getattr(of_all, name))

    environment = dict(of_all.environment)
    every: list[Limits] = [*member_of, *([profile] if profile else [])]
    for one in every:
        environment |= one.environment
    return replace(
        of_all,
        image=(profile and profile.image) or of_all.image,
        environment=environment,
        **{name: limit(name) for name in ("memory", "cpus", "pids", "gpus")},
    )


def folders_for(options: Options, groups: Collection[str]) -> list[Folder]:
    """The shared folders that somebody in these groups has."""
    return [folder for folder in options.folders if not folder.groups or set(folder.groups) & set(groups)]


def mounts(home: Path, folders: list[Folder]) -> tuple[dict[str, str], dict[str, str]]:
    """Shared folders as DockerSpawner mounts them: those to write to, and those to read."""
    writable: dict[str, str] = {}
    readable: dict[str, str] = {}
    for folder in folders:
        place = writable if folder.mode == "group-writable" else readable
        place[str(folder.path)] = str(home / FOLDERS_IN_BERTH / folder.name)
    return writable, readable


def device_requests(gpus: int) -> list[dict[str, Any]]:
    """GPUs as the engine is asked for them; none are an empty list."""
    return [{"count": gpus, "capabilities": [["gpu"]]}] if gpus else []
