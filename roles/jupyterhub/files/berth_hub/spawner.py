"""The spawner: DockerSpawner, with homes made by the root helper and a server that is seen the moment it is ready."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from berth_names import directory_name
from traitlets import Unicode, default

from berth_hub.homes import ensure_home
from berth_hub.traces import TracedSpawner

READY_POLL_SECONDS = 0.03
"""JupyterHub's own check backs off to seconds, and notices a server up to 2.6 s after it was ready."""

ALIVE_POLL_SECONDS = 1.0
"""How often to look whether the container still runs while its server is awaited."""

ANSWER_TIMEOUT_SECONDS = 5
"""How long one question may take: a server that takes connections and then ends must not be waited for."""

ENGINE_THREADS = 8
"""Engine calls under way at once; DockerSpawner's own single thread makes everybody wait for everybody."""


class BerthSpawner(TracedSpawner):
    """One user's berth: a container with that user's home and the shared notebooks."""

    homes_socket = Unicode(config=True, help="Socket of the root helper that makes homes.")
    shared_directory = Unicode(config=True, help="Directory of the host with what all berths share, mounted read-only.")
    home_in_berth = Unicode("/home/jovyan", config=True, help="Where the home is mounted.")
    shared_in_berth = Unicode("/opt/berth/shared", config=True, help="Where the shared directory is mounted.")

    _executor = ThreadPoolExecutor(ENGINE_THREADS, thread_name_prefix="engine")

    @default("object_name")
    def _object_name_default(self) -> str:
        """`berth-<directory of the home>`, and the server's name if it has one: unique, and what `docker ps` shows."""
        name = f"berth-{directory_name(self.user.name)}"
        return f"{name}.{self.name}" if self.name else name

    async def start(self) -> tuple[str, int]:
        """Start the berth and return address and port, once its server answers.

        Raises:
            RuntimeError: if there is no home to be had, or the container ended before its server answered; with its
                last lines.
        """
        home = await ensure_home(Path(self.homes_socket), self.user.name)
        self.volumes = {str(home): self.home_in_berth}
        self.read_only_volumes = {self.shared_directory: self.shared_in_berth}
        self.cmd = [f"{self.shared_in_berth}/start", "jupyterhub-singleuser"]
        address, port = await super().start()
        await self._wait_until_ready(address, port)
        return address, port

    async def _wait_until_ready(self, address: str, port: int) -> None:
        """Return at the first HTTP answer; JupyterHub's `start_timeout` bounds the wait."""
        loop = asyncio.get_running_loop()
        next_look = loop.time() + ALIVE_POLL_SECONDS
        path = urlsplit(self.server.base_url if self.server else "/").path
        while not await _answers(address, port, path):
            if loop.time() >= next_look:
                if (status := await self.poll()) is not None:
                    raise RuntimeError(
                        f"The berth of {self.user.name} ended before its server answered ({status})."
                        f"{await self._last_lines()}"
                    )
                next_look = loop.time() + ALIVE_POLL_SECONDS
            await asyncio.sleep(READY_POLL_SECONDS)

    async def _last_lines(self) -> str:
        """What a container that ended printed last, as a sentence; empty where the engine removed it already."""
        try:
            lines: bytes = await self.docker("logs", self.object_name, tail=5)
        except Exception:  # noqa: BLE001 (whatever the engine says now, why the server did not start matters more)
            return ""
        return f" Its last lines: {lines.decode(errors='replace').strip()}"


async def _answers(address: str, port: int, path: str) -> bool:
    """Whether an HTTP server answers there, whatever it answers."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(f"GET {path}api HTTP/1.0\r\nHost: {address}:{port}\r\n\r\n".encode())
                return (await reader.readline()).startswith(b"HTTP/")
            finally:
                writer.close()
    except OSError:  # a time-out, too
        return False
