"""What the server is handed of modules that are loaded later (`later.py`): as much as it needs to start.

Each does what the thing does that it stands for, with that thing, as soon as it is used. Nothing is guessed: where it
is not clear that nothing else is wanted, the thing itself is loaded.
"""

import asyncio
import importlib.metadata
import types
from functools import cached_property
from pathlib import Path
from typing import Any

import later


def version(name: str) -> str:
    """Version of a package; empty if it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


class HTTPClient:
    """JupyterLab's extension manager makes an `httpx.AsyncClient` at its start, and uses it when somebody opens it."""

    def __init__(self, **options: Any) -> None:
        """Args: options: those of the client."""
        self._options = options

    @cached_property
    def _real(self) -> Any:
        return later.load("httpx").AsyncClient(**self._options)

    def __getattr__(self, name: str) -> Any:
        """Whatever the client has."""
        return getattr(self._real, name)


class Answer:
    """As much of aiohttp's answer as the server uses."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        """Args: as tornado has them."""
        self.status, self.headers, self._body = status, headers, body

    async def text(self) -> str:
        """What it says."""
        return self._body.decode()


async def fetch(
    url: str,
    *,
    method: str = "GET",
    raise_for_status: bool = True,
    headers: dict[str, str] | None = None,
    data: str | bytes | None = None,
    **options: Any,
) -> Any:
    """Ask the hub as JupyterHub's own function of this name does, with tornado's client, which is loaded anyhow.

    With TLS between hub and servers, and whatever else it is told, it is JupyterHub's own.
    """
    if options or not url.startswith("http://"):
        own = later.load("jupyterhub.httpclient").fetch
        return await own(url, method=method, raise_for_status=raise_for_status, headers=headers, data=data, **options)
    from tornado.simple_httpclient import SimpleAsyncHTTPClient  # noqa: PLC0415 (what is imported when is the point)

    answer = await SimpleAsyncHTTPClient().fetch(
        url,
        method=method,
        headers=headers,
        body=data,
        raise_error=raise_for_status,
        allow_nonstandard_methods=True,
        # What aiohttp takes, in seconds.
        connect_timeout=30,
        request_timeout=300,
    )
    return Answer(answer.code, answer.headers, answer.body)


class Validator:
    """A `jsonschema` validator, which is made when there is something to validate."""

    def __init__(self, schema: Any) -> None:
        """Args: schema: what it validates against."""
        self._schema = schema

    @cached_property
    def _real(self) -> Any:
        return later.load("jsonschema").Draft7Validator(self._schema)

    def __getattr__(self, name: str) -> Any:
        """Whatever a validator has."""
        return getattr(self._real, name)


class _Draft7(later.Later):
    def __call__(self, schema: Any) -> Any:
        """Put off what the class would do at once: look at the schema."""
        return Validator(schema)


class Validators:
    """The module `jsonschema.validators`, as a name in `jsonschema`."""

    Draft7Validator = _Draft7("jsonschema", "Draft7Validator")

    def __getattr__(self, name: str) -> Any:
        """Whatever else it has."""
        return getattr(later.load("jsonschema.validators"), name)


class EventValidator:
    """What checks each event that somebody listens to."""

    def __getattr__(self, name: str) -> Any:
        """Whatever it has."""
        return getattr(later.load("jupyter_events.validators").JUPYTER_EVENTS_CORE_VALIDATOR, name)


class EventDeclaredError(Exception):
    """A kind of event is declared that is declared already."""


class EventSchemas:
    """The kinds of events that the server declares at its start; read and validated when somebody listens to one."""

    def __init__(self) -> None:
        """Hold none."""
        self._declared: dict[str, Path] = {}

    @cached_property
    def _real(self) -> Any:
        schemas = later.load("jupyter_events.schema_registry").SchemaRegistry()
        for file in self._declared.values():
            schemas.register(file)
        return schemas

    def register(self, schema: Any) -> Any:
        """Declare a kind of event; returns something with its `id`.

        Raises:
            EventDeclaredError: if that is declared already.
        """
        from jupyter_server import DEFAULT_EVENTS_SCHEMA_PATH as OWN  # noqa: PLC0415 (loaded by then)
        from jupyter_server import JUPYTER_SERVER_EVENTS_URI  # noqa: PLC0415

        if "_real" not in self.__dict__ and isinstance(schema, Path) and schema.is_relative_to(OWN):
            # The server's own, whose names are those of their files: it finds the files by the names.
            name = f"{JUPYTER_SERVER_EVENTS_URI}/{schema.relative_to(OWN).with_suffix('').as_posix()}"
            if name in self._declared:
                raise EventDeclaredError(name)
            self._declared[name] = schema
            return types.SimpleNamespace(id=name)
        real = self._real
        declared: type[Exception] = later.load("jupyter_events.schema_registry").SchemaRegistryException
        try:
            return real.register(schema)
        except declared as error:
            # Some have imported the one, others the other.
            raise type(declared.__name__, (EventDeclaredError, declared), {})(*error.args) from error

    def __getattr__(self, name: str) -> Any:
        """Whatever a registry has."""
        return getattr(self._real, name)

    def __contains__(self, name: str) -> bool:
        """Whether that kind of event is declared."""
        return name in self._real

    def __repr__(self) -> str:
        """As the registry says it."""
        return repr(self._real)


_EXPORTERS = {
    "asciidoc": "text/asciidoc",
    "custom": "",
    "html": "text/html",
    "latex": "text/latex",
    "markdown": "text/markdown",
    "notebook": "application/json",
    "pdf": "application/pdf",
    "python": "text/x-python",
    "qtpdf": "text/html",
    "qtpng": "text/html",
    "rst": "text/x-rst",
    "script": "",
    "slides": "text/html",
    "webpdf": "text/html",
}
"""Media types of what nbconvert's own exporters make, by their names."""


class Exporters:
    """The module `nbconvert.exporters.base`, which JupyterLab has asked for a list whenever a notebook is opened."""

    def get_export_names(self, *arguments: Any, **named: Any) -> list[str]:
        """Names of all exporters; if others are installed than nbconvert's own, it is asked itself."""
        found = importlib.metadata.entry_points(group="nbconvert.exporters")
        are_its_own = all(one.value.startswith("nbconvert.exporters:") for one in found)
        if arguments or named or not are_its_own or {one.name for one in found} != set(_EXPORTERS):
            names: list[str] = self._real.get_export_names(*arguments, **named)
            return names
        return sorted(_EXPORTERS)

    def get_exporter(self, name: str, *arguments: Any, **named: Any) -> Any:
        """An exporter's class, or as much of it as a list shows."""
        if name in _EXPORTERS and not arguments and not named:
            return Exporter(name)
        return self._real.get_exporter(name, *arguments, **named)

    @property
    def _real(self) -> Any:
        return later.load("nbconvert.exporters.base")

    def __getattr__(self, name: str) -> Any:
        """Whatever the module has."""
        return getattr(self._real, name)


class Exporter(later.Later):
    """One of nbconvert's own."""

    def __init__(self, name: str) -> None:
        """Args: name: by which it is asked for."""
        super().__init__("nbconvert.exporters.base", "get_exporter")
        self._name = name
        self.output_mimetype = _EXPORTERS[name]

    def _real(self) -> Any:
        return super()._real()(self._name)


def load_language_servers(server: Any) -> None:
    """Load the server extension `jupyter_lsp`, which looks for twenty language servers when JupyterLab asks for them.

    By itself it looks at the start, in a thread that keeps the server from answering for 0.1 s.
    """
    extension: Any = later.load("jupyter_lsp.serverextension")
    if not hasattr(extension, "initialize"):
        # Another version, which may look when it likes.
        extension.load_jupyter_server_extension(server)
        return
    look = extension.initialize
    told = asyncio.Event()
    found: list[asyncio.Future[None]] = []
    folder: list[str] = []

    async def remember(_server: Any, virtual_documents: str) -> None:
        folder.append(virtual_documents)
        told.set()

    extension.initialize = remember
    extension.load_jupyter_server_extension(server)
    manager = server.language_server_manager
    is_ready = manager.ready

    async def ready() -> Any:
        await told.wait()
        if not found:
            found.append(asyncio.ensure_future(look(server, *folder)))
        await asyncio.shield(found[0])
        return await is_ready()

    manager.ready = ready
