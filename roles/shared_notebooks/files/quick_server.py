"""Becomes JupyterHub's single-user server, without what it imports and never uses.

``quick_server.py SCRIPT ARGUMENT...`` does what the console script ``jupyterhub-singleuser`` does. That one imports
the hub's database code (SQLAlchemy, Alembic, the hub's pages), for classes that are only named. Here the hub's tables
and roles are loaded when somebody first looks into them, and two classes have stand-ins while the server is imported.

Whatever does not go as expected, be it another version or another way to start, is left to the console script.
"""

import importlib.util
import os
import sys
import types
from collections.abc import Callable
from typing import Any

OFF = "BERTH_PLAIN_SERVER"
"""Environment variable that, if it is not empty, leaves the server as it is."""

_OTHER_WAYS = ("JUPYTERHUB_SINGLEUSER_APP", "JUPYTERHUB_SINGLEUSER_EXTENSION")
"""What JupyterHub reads to start something else than a server extension."""

_LATER = ("jupyterhub.orm", "jupyterhub.roles")

_STAND_INS: dict[str, dict[str, Any]] = {
    # The log leaves health checks out by this class, which the hub alone has.
    "jupyterhub.handlers": {"__path__": []},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": type("HealthCheckHandler", (), {})},
    # A decorator of the hub's database code catches it.
    "sqlalchemy": {"__path__": []},
    "sqlalchemy.exc": {"SQLAlchemyError": type("SQLAlchemyError", (Exception,), {})},
}


def load() -> Callable[[], Any]:
    """Import the single-user server as a server extension; returns what starts it.

    Raises:
        Exception: whatever, if this is not the JupyterHub that it was written for; then nothing of it stays imported.
    """
    before = set(sys.modules)
    try:
        import jupyterhub  # noqa: PLC0415 (what is imported when is the point)

        for name in _LATER:
            _import_later(name)
        for name, names in _STAND_INS.items():
            sys.modules[name] = _module(name, **names)
        # Its own __init__ imports another way to start, which needs all of it.
        package = _module(
            "jupyterhub.singleuser", __path__=[f"{jupyterhub.__path__[0]}/singleuser"], __getattr__=_other_way
        )
        sys.modules[package.__name__] = package
        jupyterhub.singleuser = package
        from jupyterhub.singleuser import extension  # noqa: PLC0415

        package.main = extension.main  # type: ignore[attr-defined]
    except BaseException:
        for name in set(sys.modules) - before:
            del sys.modules[name]
        raise
    for name in _STAND_INS:
        del sys.modules[name]
    main: Callable[[], Any] = extension.main
    return main


def _import_later(name: str) -> None:
    """Have a module loaded when one of its names is first asked for."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no {name}")
    loader = importlib.util.LazyLoader(spec.loader)
    spec.loader = loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)


def _module(name: str, **names: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(names)
    return module


def _other_way(name: str) -> Any:
    """What JupyterHub's own package has beside the server extension, for a user's configuration that imports it."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module("jupyterhub.singleuser.mixins"), name)


def main() -> None:
    """Entry point."""
    script = sys.argv[1]
    # As it is for the console script, whose directory holds no modules: nothing is imported from beside this file.
    del sys.path[0], sys.argv[0]
    if not any(os.environ.get(name) for name in (OFF, *_OTHER_WAYS)):
        try:
            start = load()
        except Exception as error:  # noqa: BLE001 (a server that starts slower is better than none)
            print(f"berth: starts JupyterHub's server as it is, since {type(error).__name__}: {error}", file=sys.stderr)
        else:
            sys.exit(start())
    os.execv(script, sys.argv)  # noqa: S606 (it is what the image's own PATH leads to)


if __name__ == "__main__":
    main()
