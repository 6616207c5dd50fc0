"""Prints as JSON the shared notebooks that are published on this host, with links. Run as root."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

SETTINGS = Path("/etc/berth/hub.json")
SHARED = Path("/srv/berth/shared")
KINDS = ("lab", "notebook", "app")


def published(repository: Path) -> list[str]:
    """Names of the notebooks, relative to the folder of the shared notebooks, in the order of the alphabet."""
    # Root owns the repository; the environment holds nothing that leads git elsewhere.
    listed = subprocess.run(
        ["git", f"--git-dir={repository}", "ls-tree", "-r", "-z", "--name-only", "refs/heads/main"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return sorted(name for name in names if name.endswith(".ipynb"))


def links(name: str, hub: str, *, apps: bool) -> dict[str, str]:
    """What opens a notebook for whoever follows it, through login and the start of a server.

    The name stands in the query: the hub takes escapes out of a path.

    Args:
        name: The notebook's.
        hub: Address of the hub, with "/" at its end.
        apps: Whether the site lets notebooks be shown as apps.
    """
    return {kind: f"{hub}hub/user-redirect/berth/open?{kind}={quote(name)}" for kind in KINDS if apps or kind != "app"}


def main() -> None:
    """Entry point."""
    settings = json.loads(SETTINGS.read_text())
    told = SHARED / "settings.json"
    # A host of an older version, before the first `./berth up` of this one, has no apps.
    apps = told.exists() and json.loads(told.read_text())["apps"]
    hub = settings["public_url"] + settings["base_url"]
    repository = SHARED / "notebooks.git"
    print(
        json.dumps(
            {
                "notebooks": [{"name": name, "links": links(name, hub, apps=apps)} for name in published(repository)],
            }
        )
    )


if __name__ == "__main__":
    main()
