"""Loads the whole configuration as the hub does, without a hub: `python -m berth_hub.rehearsal DIRECTORY`."""

import sys
from pathlib import Path

from jupyterhub.app import JupyterHub
from traitlets import TraitError
from traitlets.config import Config

from berth_hub.config import configure
from berth_hub.fragments import load_fragments
from berth_hub.settings import load


def rehearse(directory: Path) -> None:
    """Load hub.json and jupyterhub_config.d of a directory.

    Raises:
        RuntimeError: from a fragment; says which, in which line, and why.
        ValueError: from the settings, or for something that the hub takes no such value for.
    """
    c = Config()
    configure(c, load(directory / "hub.json"))
    load_fragments(c, directory / "jupyterhub_config.d")
    try:
        hub = JupyterHub(config=c)
        for _ in (hub.authenticator_class, hub.spawner_class, hub.proxy_class):
            pass  # a class that is named by a fragment is imported when it is asked for
    except (TraitError, ImportError) as error:
        raise ValueError(str(error)) from None


def main() -> int:
    """Entry point; the last line of standard error tells what is wrong."""
    try:
        rehearse(Path(sys.argv[1]))
    except (OSError, ValueError, RuntimeError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
