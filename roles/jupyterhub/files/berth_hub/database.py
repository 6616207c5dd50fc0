"""The hub's database, if it is a file: not used if it is damaged, and spared while its disk is full."""

import asyncio
import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jupyterhub.app import JupyterHub
from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext

DAMAGED = 78
"""Exit code of a hub that does not start since its database is damaged (EX_CONFIG): its unit is not started again."""

DO = "Bring it back with `./berth restore`, as docs/restore.md says; it was left as it is."

FULL = "The disk of the hub is full. Servers that run go on; whoever runs this hub has to make room (docs/faults.md)."

FULL_BYTES = 256 * 1024
"""Less is no room for a change and its journal."""

LOOK_SECONDS = 2
"""How often to look whether there is room again."""

NEVER = 2**40


def file_of(url: str) -> Path | None:
    """The file of a database; None if it is in none, or not SQLite's.

    Args:
        url: As SQLAlchemy has it.
    """
    kind, _, name = url.partition(":///")
    return Path(unquote(name.partition("?")[0])) if kind.startswith("sqlite") and name else None


def damage(path: Path) -> str:
    """What is wrong with a database; empty if nothing is, or nothing that would last, as a lock or a disk that is full.

    Takes 0.1 s for each 20 MB.
    """
    if not path.is_file():
        return ""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
            found = [str(row[0]) for row in database.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError:
        return ""
    except sqlite3.DatabaseError as error:
        return f"{path} is damaged: {error}"
    return "" if found == ["ok"] else f"{path} is damaged: {' '.join('; '.join(found).split())}"


def look_after(url: str) -> None:
    """End the hub if its database is damaged, else have it told when its disk is full.

    A hub that writes to what is damaged loses more, and tells by traces what is wrong.

    Args:
        url: As SQLAlchemy has it; others than files of SQLite look after themselves.
    """
    path = file_of(url)
    if path is None:
        return
    if found := damage(path):
        print(f"The hub does not start: {found}. {DO}", file=sys.stderr, flush=True)
        sys.exit(DAMAGED)

    @event.listens_for(Engine, "handle_error")
    def tell(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if isinstance(context.original_exception, sqlite3.OperationalError) and error and is_full(path.parent):
            # What JupyterHub shows people, and answers programs.
            error.jupyterhub_message = FULL  # type: ignore[attr-defined] # (of any error)
            _forget_activity(path.parent)


def is_full(folder: Path) -> bool:
    """Whether nothing can be written there."""
    return shutil.disk_usage(folder).free < FULL_BYTES


def _forget_activity(folder: Path) -> None:
    """Have the hub not write down who was last seen when until there is room: nobody who asks is refused for that."""
    hub = JupyterHub.instance() if JupyterHub.initialized() else None
    application = getattr(hub, "tornado_application", None)
    settings: dict[str, Any] = application.settings if application else {}
    if settings.get("activity_resolution", NEVER) == NEVER:
        return
    usual, settings["activity_resolution"] = settings["activity_resolution"], NEVER
    loop = asyncio.get_event_loop()

    def look() -> None:
        if is_full(folder):
            loop.call_later(LOOK_SECONDS, look)
        else:
            settings["activity_resolution"] = usual

    loop.call_later(LOOK_SECONDS, look)
