"""Judge all variables of a host, on the controller, before anything is changed; every mistake is told at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

ROLES = Path(__file__).resolve().parents[2]
# The hub's own code judges the hub's settings; what is Berth's alone is not on Python's path of a controller.
for folder in ("preflight", "jupyterhub", "user_homes"):
    if (path := str(ROLES / folder / "files")) not in sys.path:
        sys.path.append(path)

from berth_preflight.known import declared, unknown  # noqa: E402 (the lines above say where it is)
from berth_preflight.values import hub_mistakes, mistyped, variables_of  # noqa: E402 (the same)

SETTINGS = "__jupyterhub_settings"
CONTRADICTIONS = "__preflight_contradictions"


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible's classes have no types
    """The action that roles/preflight/tasks/main.yml calls."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return a result that failed if anything is wrong, with one line for each mistake."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._vars: dict[str, Any] = task_vars or {}
        self._known = declared(ROLES)
        self._mistakes: list[str] = []
        self._no_such_names()
        self._wrong_types()
        self._contradictions()
        # Only what has the right types is worth a closer look.
        if not self._mistakes and SETTINGS in self._vars and not self._wrong_settings():
            result["warnings"] = [
                "Python's pydantic is not on this controller: mistakes in the hub's settings show only later."
            ]
        if self._mistakes:
            result.update(failed=True, msg="\n".join(["Nothing was changed.", *dict.fromkeys(self._mistakes)]))
        return result

    def _no_such_names(self) -> None:
        own, _ = self._filled(self._vars.get("preflight_own_variables", []), note=False)
        self._mistakes += unknown(self._vars, self._known, own if isinstance(own, list) else [])

    def _wrong_types(self) -> None:
        for role in self._vars.get("ansible_play_role_names", []):
            options = self._known.specs.get(role, {})
            filled = {name: self._filled(self._vars[name], name) for name in options if name in self._vars}
            self._mistakes += mistyped(options, {name: value for name, (value, complete) in filled.items() if complete})

    def _contradictions(self) -> None:
        for entry in self._vars.get(CONTRADICTIONS, []):
            found, complete = self._filled(entry["found"], note=False)
            if complete and found:
                self._mistakes.append(str(self._filled(entry["say"])[0]))

    def _wrong_settings(self) -> bool:
        try:
            from berth_hub.settings import mistakes  # noqa: PLC0415 (a controller of the site's own may lack pydantic)
        except ImportError:
            return False
        raw = self._vars[SETTINGS]
        settings, complete = self._filled(raw, SETTINGS)
        if complete:
            self._mistakes += hub_mistakes(
                settings, mistakes, lambda where: variables_of(raw, where, self._vars, self._known.names)
            )
        return True

    def _filled(self, value: Any, name: str = "", *, note: bool = True) -> tuple[Any, bool]:
        """Fill in a value, part by part; return it, and whether that worked; if not, it is a mistake if noted."""
        if isinstance(value, dict):
            parts = {key: self._filled(part, name, note=note) for key, part in value.items()}
            return {key: part for key, (part, _) in parts.items()}, all(complete for _, complete in parts.values())
        if isinstance(value, list):
            items = [self._filled(part, name, note=note) for part in value]
            return [item for item, _ in items], all(complete for _, complete in items)
        try:
            return self._templar.template(value), True
        except AnsibleError as error:
            if note:
                names = variables_of(value, (), self._vars, self._known.names) or [name]
                self._mistakes.append(f"{' and '.join(names)}: {str(error).splitlines()[0]}")
            return None, False
