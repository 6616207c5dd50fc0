"""Becomes JupyterHub's single-user server, without what it imports and never uses, or not yet.

``quick_server.py SCRIPT ARGUMENT...`` does what the console script ``jupyterhub-singleuser`` does. That one imports
the hub's database code (SQLAlchemy, Alembic, the hub's pages), for classes that are only named, and libraries that
most servers never use. Here those are loaded when something first uses them (`later.py`), and two classes have
stand-ins while the server is imported.

Whatever does not go as expected, be it another version or another way to start, is left to the console script.
"""

import gc
import importlib
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundle
import later
import stand_ins

OFF = "BERTH_PLAIN_SERVER"
"""Environment variable that, if it is not empty, leaves the server as it is."""

_OTHER_WAYS = ("JUPYTERHUB_SINGLEUSER_APP", "JUPYTERHUB_SINGLEUSER_EXTENSION")
"""What JupyterHub reads to start something else than a server extension."""


_LATER: dict[str, dict[str, Any]] = {
    # JupyterHub's client, for what is asked and told the hub; here it is tornado's.
    "aiohttp": {},
    "jupyterhub.httpclient": {"fetch": stand_ins.fetch},
    # The hub's own tables and roles.
    "jupyterhub.orm": {},
    "jupyterhub.roles": {},
    # Of IPython, the server asks for one path; kernels are processes of their own.
    "IPython": {"paths": later.Elsewhere("IPython.paths"), "utils": later.Elsewhere("IPython.utils")},
    # Lists of extensions that a site forbids or allows, from a web address.
    "requests": {},
    # JupyterLab's extension manager, when somebody opens it.
    "httpx": {"__version__": stand_ins.version("httpx"), "AsyncClient": stand_ins.HTTPClient},
    # Times in messages of kernels.
    "dateutil.parser": {"isoparse": later.Later("dateutil.parser", "isoparse")},
    "dateutil.tz": {"tzlocal": later.Later("dateutil.tz", "tzlocal")},
    # Formats that no schema of the server's has: durations and addresses.
    "arrow": {},
    "rfc3986_validator": {"validate_rfc3986": later.Later("rfc3986_validator", "validate_rfc3986")},
    # Settings of JupyterLab and events are validated when there are some; notebooks are by another library.
    "jsonschema": {
        "Draft4Validator": later.Later("jsonschema", "Draft4Validator"),
        "Draft7Validator": later.Later("jsonschema", "Draft7Validator"),
        "ValidationError": later.Elsewhere("jsonschema.exceptions", "ValidationError"),
        "_utils": later.Elsewhere("jsonschema._utils"),
        "exceptions": later.Elsewhere("jsonschema.exceptions"),
        "validators": stand_ins.Validators(),
    },
    # Events that nobody listens to.
    "jupyter_events.schema": {"EventSchema": later.Later("jupyter_events.schema", "EventSchema"), "SchemaType": Any},
    "jupyter_events.schema_registry": {
        "SchemaRegistry": stand_ins.EventSchemas,
        "SchemaRegistryException": stand_ins.EventDeclaredError,
    },
    "jupyter_events.validators": {"JUPYTER_EVENTS_CORE_VALIDATOR": stand_ins.EventValidator()},
    # One context manager of the hub's client.
    "unittest": {"mock": later.Elsewhere("unittest.mock")},
    "unittest.mock": {},
    # Kernels behind a gateway.
    "websocket": {},
    # Versions of JupyterLab's extensions are compared when somebody lists or builds them.
    "jupyter_builder.jupyterlab_semver": {
        name: later.Later("jupyter_builder.jupyterlab_semver", name)
        for name in ("Range", "gt", "gte", "lt", "lte", "make_semver")
    },
    # What notebooks can be exported to is listed whenever one is opened; few are exported.
    "nbconvert": {"exporters": later.Elsewhere("nbconvert.exporters")},
    "nbconvert.exporters": {"base": stand_ins.Exporters()},
    # Language servers, which few images have.
    "jupyter_lsp.serverextension": {"load_jupyter_server_extension": stand_ins.load_language_servers},
}
"""Modules that are loaded when they are used, and what is handed out of them before."""

_WITH_ANY_VERSION = ("jupyterhub.orm", "jupyterhub.roles")
"""Those of which nothing is handed out that another version might use otherwise."""

WRITTEN_FOR = {
    "jsonschema": "4.26.0",
    "jupyter_builder": "1.3.0",
    "jupyter_events": "0.12.1",
    "jupyter_lsp": "2.3.1",
    "jupyter_server": "2.21.1",
    "jupyterhub": "6.1.1",
    "jupyterlab": "4.6.6",
    "jupyterlab_server": "2.28.1",
    "nbconvert": "7.17.2",
}
"""Versions with which all of it was tried, those of Berth's own image; with others a server starts slower."""

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
    gc.disable()
    ways_back = [bundle.install(Path(sys.prefix, "berth-bundle"))]
    ways_back.append(later.install(_LATER if _is_known() else {name: {} for name in _WITH_ANY_VERSION}))
    try:
        import jupyterhub  # noqa: PLC0415 (what is imported when is the point)

        for name, names in _STAND_INS.items():
            sys.modules[name] = _module(name, **names)
        # Its own __init__ imports another way to start, which needs all of it.
        package = _module(
            "jupyterhub.singleuser", __path__=[f"{jupyterhub.__path__[0]}/singleuser"], __getattr__=_other_way
        )
        sys.modules[package.__name__] = package
        jupyterhub.singleuser = package
        from jupyterhub.singleuser import extension  # noqa: PLC0415

        _collect_garbage_from_then_on()
        package.main = extension.main  # type: ignore[attr-defined]
    except BaseException:
        gc.enable()
        for take_back in ways_back:
            take_back()
        for name in set(sys.modules) - before:
            del sys.modules[name]
        raise
    for name in _STAND_INS:
        del sys.modules[name]
    main: Callable[[], Any] = extension.main
    return main


def _is_known() -> bool:
    """Whether all that is installed is what this was written for; by names of folders, since reading takes time."""
    return all(
        any(Path(folder, f"{name}-{version}.dist-info").is_dir() for folder in sys.path)
        for name, version in WRITTEN_FOR.items()
    )


def _collect_garbage_from_then_on() -> None:
    """Have Python look for garbage once the server serves: what it has made for its start is there to stay."""
    from jupyter_server.serverapp import ServerApp  # noqa: PLC0415 (what is imported when is the point)

    serve = ServerApp.start_ioloop

    def start_ioloop(server: Any) -> None:
        gc.freeze()
        gc.enable()
        serve(server)

    ServerApp.start_ioloop = start_ioloop  # type: ignore[method-assign, assignment]


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
