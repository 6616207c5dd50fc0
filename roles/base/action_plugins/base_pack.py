"""Pack a folder of the controller into an archive for a host; roles/base/tasks/files.yml says what for."""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


def found(folder: Path, pattern: str) -> list[tuple[str, Path]]:
    """Return the files below a folder whose names match a shell pattern, in an order that is the same everywhere.

    Links are followed; byte code is left out. Each file comes with its path below the folder.
    """
    below = [
        (path.relative_to(folder).as_posix(), path)
        for root, _, names in os.walk(folder, followlinks=True)
        if "__pycache__" not in Path(root).parts
        for name in fnmatch.filter(names, pattern)
        if (path := Path(root, name)).is_file()
    ]
    return sorted(below, key=lambda file: os.fsencode(file[0]))


def packed(files: list[tuple[str, Path]], to: str) -> tuple[bytes, str]:
    """Return an archive (tar) of files that goes to a folder of the host, and the list of what is in it.

    The same files give the same archive, byte for byte, on every controller: all are root's, with mode 0644, or 0755
    if anyone may run them. Times are made from the contents, so that Python never takes old byte code for that of a
    new file.

    Returns:
        The archive, and a line for each file: 12 digits of its SHA-256 and its path on the host.
    """
    contents = {below: path.read_bytes() for below, path in files}
    sums = {below: hashlib.sha256(content).hexdigest() for below, content in contents.items()}
    stamp = hashlib.sha256("".join(f"{digest}  ./{below}\n" for below, digest in sums.items()).encode()).hexdigest()
    prefix = to.strip("/") + "/" if to.strip("/") else ""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for below, path in files:
            entry = tarfile.TarInfo(prefix + below)
            entry.size = len(contents[below])
            entry.mode = 0o755 if path.stat().st_mode & 0o111 else 0o644
            entry.mtime = 1_000_000_000 + int(stamp[:7], 16)
            tar.addfile(entry, io.BytesIO(contents[below]))
    return archive.getvalue(), "".join(f"{digest[:12]}  /{prefix}{below}\n" for below, digest in sums.items())


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible's classes have no types
    """The action that roles/base/tasks/files.yml calls. No module, which would be an interpreter for each role."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the archive.

        Arguments of the task: `from`, the folder, which may be relative to the playbook's; `to`, the folder of the
        host; `pattern`, names of the files that go; `archive`, the file that is written, in a folder that nobody else
        can write to.

        Returns:
            `checksum`, the archive's SHA-256, and `listed`, the list of what is in it.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self._task.args
        folder = Path(self._loader.path_dwim(arguments["from"]))
        archive, listed = packed(found(folder, arguments["pattern"]), arguments["to"])
        path = Path(arguments["archive"])
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(archive)
        result.update(changed=False, checksum=hashlib.sha256(archive).hexdigest(), listed=listed)
        return result
