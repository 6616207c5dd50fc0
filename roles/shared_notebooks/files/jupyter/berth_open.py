"""Server extension: opens a shared notebook for whoever follows a link, in the newest edition, and notebooks as apps.

`hub/user-redirect/berth/open?lab=hello.ipynb` brings a person through login and the start of a server to `berth/open`
on that server. There what has been published since the server started is pulled, under the same rules as at the start,
and the browser goes on to JupyterLab (`lab`), Notebook (`notebook`) or the notebook as an app without code (`app`). The
file stands in the query and not in the path, because the hub takes escapes out of a path: names may hold `?`, `#`, `%`.

Managed by Berth (role shared_notebooks).
"""

import asyncio
import importlib
import json
import math
import os
import re
import time
from pathlib import Path, PurePosixPath
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_escape, url_path_join
from tornado.routing import PathMatches, Rule
from tornado.web import HTTPError, authenticated

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp
    from tornado.httputil import HTTPServerRequest

SHARED = Path(__file__).resolve().parents[1]
"""What all berths share: the program that pulls, and the settings."""

PULL_SECONDS = 60
"""How long a person waits for news; after that, the notebook opens as it is."""

PAGES = {"lab": "lab/tree", "notebook": "notebooks", "app": "voila/render"}
"""Where each kind of link leads to, on the server."""

APPS = "voila.server_extension"
"""Voila: importing it takes 0.3 to 0.5 s, a third of a server's start, so that it waits for the first app."""

LOOK_SECONDS = 1.0
"""How often an app that waits for its kernel looks for an answer that it was not told of."""

NOT_IN_APP = "not-in-app"
"""Tag of cells that an app leaves out."""


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "berth_open"}]


def _load_jupyter_server_extension(server: "ServerApp") -> None:
    base = re.escape(server.web_app.settings["base_url"])
    apps = Apps(server)
    rules = [
        Rule(PathMatches(base + "berth/open"), OpenHandler, {"apps": apps}),
        # Voila's own hands pictures to people who are not logged in.
        Rule(PathMatches(base + "voila/files/(.*)"), FileHandler),
        Rule(UntilLoaded(base + "voila(?:/.*)?", apps), FirstAppHandler, {"apps": apps}),
    ]
    server.web_app.add_handlers(".*$", rules)


class Apps:
    """Voila, from the first time that somebody asks for it."""

    def __init__(self, server: "ServerApp") -> None:
        self.loaded = False
        self._server = server
        self._lock = asyncio.Lock()

    @property
    def wanted(self) -> bool:
        """Whether the site wants apps; read each time, so that a change needs no new server."""
        try:
            settings = json.loads((SHARED / "settings.json").read_text(encoding="utf-8"))
        except OSError:
            return True
        return bool(settings.get("apps", True))

    async def load(self) -> None:
        """Give the server Voila's pages.

        Raises:
            HTTPError: The site wants no apps, or the image has no Voila.
        """
        if not self.wanted:
            raise HTTPError(404, "Notebooks as apps are switched off on this hub.")
        async with self._lock:
            if self.loaded:
                return
            try:
                # In a thread: the server goes on answering others.
                extension = await asyncio.to_thread(importlib.import_module, APPS)
            except ImportError as error:
                raise HTTPError(
                    404, "The image of this server cannot show notebooks as apps: it has no voila."
                ) from error
            # Voila's word for none; else the browser fetches MathJax from the internet, formulas or not.
            self._server.web_app.settings.setdefault("mathjax_url", "null")
            self._server.web_app.settings.setdefault("mathjax_config", "null")
            settings = self._server.config.VoilaConfiguration
            if "prelaunch_hook" not in settings:
                settings.prelaunch_hook = leave_out
            renderer: Any = importlib.import_module("voila.notebook_renderer")
            renderer.VoilaExecutor = attentive(renderer.VoilaExecutor)
            extension._load_jupyter_server_extension(self._server)  # noqa: SLF001 (the name is Jupyter's interface)
            self.loaded = True


def attentive(executor: Any) -> Any:
    """Make what runs an app's cells one that misses no answer of the kernel.

    ZeroMQ tells of an answer only once, to whoever uses the socket next. When a widget's message is sent just then, the
    send swallows the news: the app waits for ever for an answer that is there, at "Executing 1 of 2", its kernel idle.
    """

    class Attentive(executor):  # type: ignore[misc]  # Voila is in the image only
        async def async_start_new_kernel_client(self) -> Any:
            client = await super().async_start_new_kernel_client()
            keep_looking(client.shell_channel)
            return client

    return Attentive


def keep_looking(channel: Any) -> None:
    """Have whoever waits on this channel of a kernel's client look by themselves as well, every `LOOK_SECONDS`."""
    get = channel.get_msg

    async def get_msg(timeout: float | None = None) -> Any:  # noqa: ASYNC109 (the interface is jupyter_client's)
        """Wait for a message; `timeout` in seconds, None for ever. Raises queue.Empty when none came."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            try:
                return await get(timeout=max(0.0, min(LOOK_SECONDS, left)))
            except Empty:
                if left <= LOOK_SECONDS:
                    raise

    channel.get_msg = get_msg


def leave_out(_request: Any, notebook: Any, cwd: str) -> None:  # noqa: ARG001 (Voila's hook has these names)
    """Take the cells out of an app that only make sense in a notebook."""
    notebook.cells = [cell for cell in notebook.cells if NOT_IN_APP not in cell.metadata.get("tags", [])]


class UntilLoaded(PathMatches):
    """Voila's addresses, as long as Voila is not there to answer, and always where it is not wanted."""

    def __init__(self, pattern: str, apps: Apps) -> None:
        super().__init__(pattern)
        self._apps = apps

    def match(self, request: "HTTPServerRequest") -> dict[str, Any] | None:
        """Match as `PathMatches` does, or not at all."""
        if self._apps.loaded and self._apps.wanted:
            return None
        return super().match(request)


class BerthHandler(JupyterHandler):
    """What Berth's own pages have in common."""

    def render_template(self, name: str, **values: Any) -> Any:
        """Say what is not there: Jupyter's own page for 404 leaves the reason out."""
        return super().render_template("error.html" if name == "404.html" else name, **values)


class FirstAppHandler(BerthHandler):
    """Loads Voila and lets the browser ask again: an address kept from an earlier server works."""

    def initialize(self, apps: Apps) -> None:
        """Take what the rule hands over."""
        self._apps = apps

    @authenticated
    async def get(self) -> None:
        """Answer any of Voila's addresses."""
        await self._apps.load()
        self.redirect(self.request.uri or self.base_url)


class FileHandler(BerthHandler):
    """Files beside an app's notebook, from where the server hands them to nobody but the person who is logged in."""

    @authenticated
    def get(self, path: str) -> None:
        """Lead to the file."""
        self.redirect(url_path_join(self.base_url, "files", url_escape(path)))


class OpenHandler(BerthHandler):
    """Opens a shared notebook in its newest edition."""

    def initialize(self, apps: Apps) -> None:
        """Take what the rule hands over."""
        self._apps = apps

    @authenticated
    async def get(self) -> None:
        """Pull what is new, and go on to the notebook."""
        kind = next((name for name in PAGES if self.get_argument(name, "")), None)
        if kind is None:
            raise HTTPError(400, f"This link names no notebook: it needs one of {', '.join(PAGES)}.")
        name = self.get_argument(kind)
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise HTTPError(400, f'"{name}" is not the name of a shared notebook.')
        if kind == "app":
            await self._apps.load()
        file = notebooks_folder() / path
        await self._pull("new")
        if not file.exists():
            # Whoever deleted it gets it back, as at a server's start.
            await self._pull("again")
        if not file.exists():
            raise HTTPError(404, f'There is no shared notebook "{name}".')
        try:
            within = file.relative_to(root_folder(self.settings["server_root_dir"]))
        except ValueError as error:
            raise HTTPError(
                404, f"The shared notebooks are in {file.parent}, which this server does not show."
            ) from error
        self.redirect(url_path_join(self.base_url, PAGES[kind], url_escape(within.as_posix())))

    async def _pull(self, when: str) -> None:
        """Whatever goes wrong is in the server's log: the notebook opens as it is."""
        pull = await asyncio.create_subprocess_exec(SHARED / "pull", when, cwd=Path.home())
        try:
            async with asyncio.timeout(PULL_SECONDS):
                code = await pull.wait()
        except TimeoutError:
            self.log.warning("The shared notebooks are still being pulled after %s s", PULL_SECONDS)
            return
        if code:
            self.log.warning("The shared notebooks could not be pulled: exit code %s", code)


def notebooks_folder() -> Path:
    """Where the shared notebooks are in the home."""
    return Path(os.environ.get("BERTH_NOTEBOOKS") or Path.home() / "notebooks").resolve()


def root_folder(configured: str) -> Path:
    """Where the folder is that the server shows."""
    return Path(configured).expanduser().resolve()
