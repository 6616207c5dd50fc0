"""What the site's settings let a container be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from berth_hub.allotment import SHARED_IN_BERTH, mounts
from berth_hub.settings import load

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from berth_hub.settings import Settings

HOMES = Path("/srv/berth/homes")

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Mount:
    """Where in a container a directory of the host appears."""

    target: str
    read_only: bool


@dataclass(frozen=True)
class Policy:
    """What may be asked for.

    Attributes:
        network: The berths' network.
        images: Names of the images that berths are made from.
        memory: Bytes that one berth gets at most.
        cpus: Processors that one berth gets at most.
        pids: Processes and threads that one berth gets at most.
        gpus: GPUs that one berth gets at most; -1 is all.
        read_only: Whether a berth's root file system must be.
        runtime: The engine's name of the OCI runtime of berths; empty: its default.
        scratch: Where it writes then, with the options of the mounts.
        home_in_berth: Where the home is mounted.
        mounts: Directories of the host that any berth may have, and how; its home is not among them.
        homes: Directory of all homes.
    """

    network: str
    images: frozenset[str]
    memory: int
    cpus: float
    pids: int
    gpus: int
    read_only: bool
    runtime: str
    scratch: Mapping[str, str]
    home_in_berth: str
    mounts: Mapping[str, Mount]
    homes: Path


def policy_of(settings: Settings, homes: Path = HOMES) -> Policy:
    """Derive it: each limit is the largest that profile, group or berth has.

    Args:
        settings: The hub's.
        homes: Directory of all homes.
    """
    options, berth = settings.options, settings.berth
    limits = [*options.profiles, *options.groups.values()]
    images = {berth.image, *settings.broker.images, *(one.image for one in options.profiles if one.image)}
    gpus = [options.gpus, *(one.gpus for one in limits if one.gpus is not None)]
    writable, readable = mounts(berth.home, options.folders)
    return Policy(
        network=berth.network,
        images=frozenset(images),
        memory=max([berth.memory, *(one.memory for one in limits if one.memory)]),
        cpus=max([berth.cpus, *(one.cpus for one in limits if one.cpus)]),
        pids=max([berth.pids, *(one.pids for one in limits if one.pids)]),
        gpus=-1 if -1 in gpus else max(gpus),
        read_only=berth.read_only,
        runtime=berth.runtime,
        scratch=berth.scratch,
        home_in_berth=str(berth.home),
        mounts={
            str(settings.shared_directory): Mount(SHARED_IN_BERTH, read_only=True),
            **{source: Mount(target, read_only=False) for source, target in writable.items()},
            **{source: Mount(target, read_only=True) for source, target in readable.items()},
        },
        homes=homes,
    )


class PolicyFile:
    """The settings' file, read again when it changed; one that cannot be used leaves the last one in force."""

    def __init__(self, path: Path, homes: Path, complain: Callable[[str], None]) -> None:
        """Args: path: the settings; homes: directory of all homes; complain: takes a line for the journal."""
        self._path = path
        self._homes = homes
        self._complain = complain
        self._stamp: Stamp | None = None
        self._policy: Policy | None = None

    def current(self) -> Policy:
        """What holds now.

        Raises:
            OSError: if there is no file, and never was one that could be used.
            ValueError: if the file is wrong, and there never was another.
        """
        try:
            stamp = _stamp(self._path.stat())
            if self._policy is None or stamp != self._stamp:
                self._policy = policy_of(load(self._path), self._homes)
                self._stamp = stamp
        except (OSError, ValueError) as error:
            if self._policy is None:
                raise
            self._complain(f"keeping the last policy: {error}")
        return self._policy


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_ino, status.st_size
