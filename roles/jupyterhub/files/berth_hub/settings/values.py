"""Kinds of values that the settings have, with units turned into numbers."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

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


def _path_prefix(value: str) -> str:
    if not re.fullmatch(r"/([A-Za-z0-9._~-]+/)*", value):
        raise ValueError(f'"{value}" is no base URL: use a path that starts and ends with "/", like / or /jupyter/')
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"https?://[^/?#@\s]+", value):
        raise ValueError(
            f'"{value}" is no address of a hub: use https://NAME or https://NAME:PORT, without a "/" at the end and'
            " without a path (that is jupyterhub_base_url)"
        )
    return value


Bytes = Annotated[int, BeforeValidator(bytes_of)]
Address = Annotated[str, AfterValidator(_address)]
PathPrefix = Annotated[str, AfterValidator(_path_prefix)]


class Strict(BaseModel):
    """Unknown keys are mistakes: a limit with a typing error in its name must not silently be no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)
