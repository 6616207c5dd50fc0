"""Folders within folders, deeper than a path can name or a program may call itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def nest(folder: Path, name: str, levels: int) -> None:
    """Make so many folders of a name within one another, and a file of 5000 bytes in the innermost."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    with os.fdopen(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=place), "wb") as file:
        file.write(bytes(5000))
    os.close(place)
