"""What berths are."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from berth_hub.settings.values import Bytes, Strict


class Berth(Strict):
    """What every berth gets."""

    image: str = Field(min_length=1)
    network: str = Field(min_length=1)
    memory: Bytes
    cpus: float = Field(gt=0, allow_inf_nan=False)
    pids: int = Field(ge=32)
    environment: dict[str, str] = Field(default_factory=dict)
    default_url: str = Field(pattern=r"^/")
    home: Path = Path("/home/jovyan")
    notebooks_folder: str = Field(pattern=r"^[^/.][^/]*$")
    start_timeout_seconds: int = Field(ge=10)
    runtime: str = ""
    read_only: bool = True
    tmp: Bytes = 1024**3

    @property
    def scratch(self) -> dict[str, str]:
        """Where a berth writes beside its home if all else is read-only: paths, with the options of their mounts.

        They are in memory, count as the berth's, and hold programs too: packages are built there.
        """
        if not self.read_only:
            return {}
        return dict.fromkeys(("/tmp", "/var/tmp"), f"rw,nosuid,nodev,exec,mode=1777,size={self.tmp}")  # noqa: S108 (not ours)


class Idle(Strict):
    """What becomes of a server that nobody uses, and when; `after_seconds` 0 is never.

    With "sleep" it is frozen, and stopped `sleep_seconds` later (0 is never), or before, if less than
    `memory_min_percent` of the host's memory is available.
    """

    way: Literal["sleep", "stop", "never"] = "stop"
    after_seconds: int = Field(ge=0)
    check_every_seconds: int = Field(ge=5)
    sleep_seconds: int = Field(default=0, ge=0)
    memory_min_percent: int = Field(default=0, ge=0, le=90)
    meminfo: Path = Path("/proc/meminfo")

    @property
    def sleeps(self) -> bool:
        """Whether idle servers fall asleep."""
        return self.way == "sleep" and self.after_seconds > 0

    @property
    def stops(self) -> bool:
        """Whether idle servers are stopped at once."""
        return self.way == "stop" and self.after_seconds > 0


class Broker(Strict):
    """What the broker lets be made beyond what the other settings say: `images` that fragments of the site ask for."""

    images: list[Annotated[str, Field(pattern=r"^\S+$")]] = Field(default_factory=list)
