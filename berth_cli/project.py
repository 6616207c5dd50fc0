"""Where things are: playbooks and inventories in the checkout, and the environment that Ansible runs in."""

from __future__ import annotations

import locale
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from berth_cli.errors import BerthError

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Project:
    """A checkout of Berth.

    Attributes:
        root: The directory with ``playbooks/`` and ``inventory/``.
    """

    root: Path = CHECKOUT

    @property
    def demo_inventory(self) -> Path:
        """The inventory that is used when none is named."""
        return self.root / "inventory" / "demo"

    @property
    def playbook_dir(self) -> Path:
        """The directory of all playbooks."""
        return self.root / "playbooks"

    def playbook(self, name: str) -> Path:
        """Find a playbook.

        Args:
            name: Its name without the suffix, such as ``site``.

        Raises:
            BerthError: There is no such file.
        """
        path = self.playbook_dir / f"{name}.yml"
        if not path.is_file():
            raise BerthError(
                f'playbook "{path}" is missing: restore it from version control (git checkout -- playbooks)'
            )
        return path

    def inventory(self, named: str | None) -> str:
        """Find an inventory.

        Args:
            named: What was given to ``--inventory``: a path as seen from the current directory or else from the
                checkout, or a list of hosts with commas; None stands for the demo host's.

        Returns:
            An absolute path, or the list of hosts as given.

        Raises:
            BerthError: There is no such file or directory.
        """
        if named is None:
            named = str(self.demo_inventory)
        if "," in named:
            return named
        candidates = dict.fromkeys((Path.cwd() / named, self.root / named))
        for path in candidates:
            if path.exists():
                return str(path.resolve())
        looked = " and ".join(str(path) for path in candidates)
        raise BerthError(
            f'inventory "{named}" not found (looked for {looked}): name a file or directory, or copy inventory/example'
        )

    def is_demo(self, inventory: str) -> bool:
        """Whether an inventory, as returned by :meth:`inventory`, is the demo host's."""
        return Path(inventory).is_relative_to(self.demo_inventory.resolve())

    def environment(self) -> dict[str, str]:
        """Environment variables that programs of the virtual environment need, on top of this process's own."""
        variables = {
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
        if not _locale_is_utf8():
            # Ansible refuses to start otherwise; this locale is there on every Linux that Berth supports.
            variables["LC_ALL"] = "C.UTF-8"
        return variables


def _locale_is_utf8() -> bool:
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
        return (locale.getlocale()[1] or "").upper() == "UTF-8"
    except (locale.Error, ValueError):
        return False
    finally:
        locale.setlocale(locale.LC_ALL, before)
