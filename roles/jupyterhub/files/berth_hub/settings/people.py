"""How people come by an account."""

from typing import Literal

from pydantic import Field

from berth_hub.settings.values import Strict


class People(Strict):
    """Whether people may ask for an account, and how many may wait for the answer."""

    signup: Literal["closed", "approval"] = "closed"
    signup_waiting_max: int = Field(100, ge=1, le=10_000)
