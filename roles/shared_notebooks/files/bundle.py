"""Modules out of one file, which the image has of all that a server imports at its start (`make_bundle.py`).

For each module Python looks through its path, asks for the file's time and size, and opens and checks a file of byte
code: for the five hundred of a server that is a tenth of its start. Here it is one look into a table, one question
whether the source is still the same, and one read. A module whose source is another one, by time or size as with
Python's own byte code, is imported as ever.
"""

import importlib.machinery
import importlib.util
import marshal
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

FORMAT = b"berth-bundle-1\n"
"""What the file begins with; then Python's magic number, the length of the table, the table, the codes."""

_HEAD = len(FORMAT) + 4 + 8


def install(file: Path) -> Callable[[], None]:
    """Have modules come from that file; if there is none, or it is for another Python, nothing changes.

    Returns:
        What takes it back, for what is imported from then on.
    """
    # A folder of the site's or user's own comes before all that is in the bundle.
    if os.environ.get("PYTHONPATH"):
        return lambda: None
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return lambda: None
    head = os.pread(descriptor, _HEAD, 0)
    if head[:-8] != FORMAT + importlib.util.MAGIC_NUMBER:
        os.close(descriptor)
        return lambda: None
    length = int.from_bytes(head[-8:], "little")
    # What it tells Python to run is the image's, as the files are that it stands for.
    table = marshal.loads(os.pread(descriptor, length, _HEAD))  # noqa: S302
    finder = _Finder(descriptor, table, _HEAD + length)
    sys.meta_path.insert(0, finder)

    def take_back() -> None:
        sys.meta_path.remove(finder)
        os.close(descriptor)

    return take_back


class _Finder:
    def __init__(self, descriptor: int, table: dict[str, Any], start: int) -> None:
        self._descriptor, self._table, self._start = descriptor, table, start

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 (Python's signature)
    ) -> importlib.machinery.ModuleSpec | None:
        entry = self._table.get(fullname)
        if entry is None:
            return None
        origin, cached, is_package, time, size, offset, length = entry
        folder = os.path.dirname(origin)  # noqa: PTH120 (a tenth of the time)
        # A package of the same name from elsewhere has modules of its own.
        if path is not None and (os.path.dirname(folder) if is_package else folder) not in path:  # noqa: PTH120
            return None
        try:
            found = os.stat(origin)  # noqa: PTH116 (a third of the time)
        except OSError:
            return None
        if (int(found.st_mtime) & 0xFFFFFFFF, found.st_size & 0xFFFFFFFF) != (time, size):
            return None
        loader = _Loader(fullname, origin)
        loader.where = self._descriptor, length, self._start + offset
        spec = importlib.machinery.ModuleSpec(fullname, loader, origin=origin, is_package=is_package)
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(folder)
        spec.has_location = True
        spec.cached = cached
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    where: tuple[int, int, int]

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002 (Python's signature)
        code: CodeType = marshal.loads(os.pread(*self.where))  # noqa: S302 (see `install`)
        return code
