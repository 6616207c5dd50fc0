"""`template`, which asks the host nothing about a file that roles/base/files/look.sh has found right."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ansible.plugins.action.template import ActionModule as Template
from ansible.plugins.loader import lookup_loader

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

LOOK = "__base_files_look"
COMPARED = {"src", "dest", "owner", "group", "mode"}


def is_right(seen: Container[str], wanted: Mapping[str, str], content: str) -> bool:
    """Whether a file was seen with an owner, a group, a mode and a content.

    Parameters:
        seen: What the look at the host has told, line by line.
        wanted: The arguments of the task, as of `template`; the mode in octal digits.
        content: What the file shall hold.
    """
    record = f"file {wanted['owner']} {wanted['group']} {int(wanted['mode'], 8):o} {wanted['dest']}"
    return record in seen and f"{hashlib.sha256(content.encode()).hexdigest()}  {wanted['dest']}" in seen


class ActionModule(Template):  # type: ignore[misc]  # Ansible's classes have no types
    """Takes what `template` takes, and does what it does with a file that is not right: two round trips and more."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what `template` returns; of a file that is right only that it did not change."""
        arguments = self._task.args
        seen = (task_vars or {}).get(LOOK, {}).get("stdout_lines", [])
        # `validate` says nothing of a file that stays.
        if seen and set(arguments) - {"validate"} == COMPARED:
            look_up = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
            (content,) = look_up.run([arguments["src"]], variables=task_vars)
            if is_right(seen, arguments, str(content)):
                return {"changed": False, "dest": arguments["dest"]}
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result
