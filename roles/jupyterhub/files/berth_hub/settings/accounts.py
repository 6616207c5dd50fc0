"""Who may log in."""

from pydantic import Field

from berth_hub.settings.values import Strict


class Accounts(Strict):
    """Who may log in, and how hard it is to guess a way in."""

    admins: list[str] = Field(min_length=1)
    password_length_min: int = Field(ge=8, le=72)
    failed_logins_max: int = Field(ge=1)
    lockout_seconds: int = Field(ge=1)
