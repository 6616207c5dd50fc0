"""Who may log in."""

from typing import Annotated

from berth_names import check_name
from pydantic import AfterValidator, Field

from berth_hub.settings.values import Strict


def _user_name(name: str) -> str:
    check_name(name)
    return name


UserName = Annotated[str, AfterValidator(_user_name)]


class Accounts(Strict):
    """Who may log in, and how hard it is to guess a way in."""

    admins: list[UserName] = Field(min_length=1)
    password_length_min: int = Field(ge=8, le=72)
    failed_logins_max: int = Field(ge=1)
    lockout_seconds: int = Field(ge=1)
