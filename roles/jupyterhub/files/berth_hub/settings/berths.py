"""What berths are."""

from pathlib import Path
from typing import Annotated

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


class Idle(Strict):
    """When a server that nobody uses is stopped; `after_seconds` 0 is never."""

    after_seconds: int = Field(ge=0)
    check_every_seconds: int = Field(ge=5)


class Broker(Strict):
    """What the broker lets be made beyond what the other settings say: `images` that fragments of the site ask for."""

    images: list[Annotated[str, Field(pattern=r"^\S+$")]] = Field(default_factory=list)
