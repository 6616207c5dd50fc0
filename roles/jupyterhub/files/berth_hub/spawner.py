"""The spawner: DockerSpawner, with homes made by the root helper and a server that is seen the moment it is ready."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from berth_names import container_name
from docker.errors import APIError, DockerException
from traitlets import Dict, Integer, Unicode, default

from berth_hub.allotment import FOLDERS_IN_BERTH, SHARED_IN_BERTH, SNAPSHOTS_IN_BERTH, Allotment, device_requests
from berth_hub.homes import ensure_home
from berth_hub.line import OrderlySpawner
from berth_hub.monitoring.failures import recorded
from berth_hub.sleep import SleepingSpawner

READY_POLL_SECONDS = 0.03
"""JupyterHub's own check backs off to seconds, and notices a server up to 2.6 s after it was ready."""

QUICK_POLL_SECONDS = 0.01
"""The same while the server of Berth's own image is expected."""

QUICK_POLL_FOR_SECONDS = 1.0
"""For how long after its start a container is asked that often."""

ALIVE_POLL_SECONDS = 1.0
"""How often to look whether the container still runs while its server is awaited."""

ANSWER_TIMEOUT_SECONDS = 5
"""How long one question may take: a server that takes connections and then ends must not be waited for."""

ENGINE_AWAY_SECONDS = 1.0
"""How long to wait before an engine that does not answer is asked once more."""

ENGINE_THREADS = 8
"""Engine calls under way at once; DockerSpawner's own single thread makes everybody wait for everybody."""


class BerthSpawner(OrderlySpawner, SleepingSpawner):
    """One user's berth: a container with that user's home and the shared notebooks."""

    homes_socket = Unicode(config=True, help="Socket of the root helper that makes homes.")
    shared_directory = Unicode(config=True, help="Directory of the host with what all berths share, mounted read-only.")
    failed_starts_file = Unicode(config=True, help="Where the last servers that did not start are remembered.")
    home_in_berth = Unicode("/home/jovyan", config=True, help="Where the home is mounted.")
    shared_in_berth = Unicode(SHARED_IN_BERTH, config=True, help="Where the shared directory is mounted.")

    gpus = Integer(0, config=True, help="GPUs of every berth; -1 is all.")
    last_profile = Unicode(help="Profile that was chosen last; empty for none.")
    folders = Dict(help="Shared folders to write to: path on the host to path in the berth.")
    read_only_folders = Dict(help="Shared folders to read.")

    _executor = ThreadPoolExecutor(ENGINE_THREADS, thread_name_prefix="engine")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keep what the configuration gives every berth: profiles and groups change it from start to start."""
        super().__init__(*args, **kwargs)
        host: dict[str, Any] = self.extra_host_config
        self.of_all = Allotment(
            image=self.image,
            memory=self.mem_limit,
            cpus=self.cpu_limit,
            pids=host.get("pids_limit"),
            gpus=self.gpus,
            environment=dict(self.environment),
        )
        self.last_profile = str(self.user_options.get("profile", ""))

    def take(self, given: Allotment) -> None:
        """Have the next start give the berth that."""
        self.image = given.image
        self.mem_limit = given.memory
        self.cpu_limit = given.cpus
        self.environment = given.environment
        host: dict[str, Any] = self.extra_host_config
        kept = {name: value for name, value in host.items() if name != "device_requests"}
        limits = {"pids_limit": given.pids, "memswap_limit": given.memory}
        gpus = {"device_requests": device_requests(given.gpus)} if given.gpus else {}
        self.set_trait("extra_host_config", {**kept, **limits, **gpus})

    @default("object_name")
    def _object_name_default(self) -> str:
        """Unique, and what `docker ps` shows."""
        return str(container_name(self.user.name, self.name))

    async def has_to_wait(self) -> bool:
        """Whether the start is one that costs anything: a berth that sleeps is awake at once."""
        return not await self.wakes()

    @recorded
    async def start(self) -> tuple[str, int]:
        """Start the berth and return address and port, once its server answers.

        Raises:
            RuntimeError: if there is no home to be had, or the container ended before its server answered; with its
                last lines.
        """
        if woken := await self.wake():
            return woken
        home = await ensure_home(Path(self.homes_socket), self.user.name)
        self.volumes = {str(home.path): self.home_in_berth, **self.folders}
        self.read_only_volumes = {self.shared_directory: self.shared_in_berth, **self.read_only_folders}
        if home.snapshots:
            self.read_only_volumes = {**self.read_only_volumes, str(home.snapshots): SNAPSHOTS_IN_BERTH}
        self.cmd = [f"{self.shared_in_berth}/start", "jupyterhub-singleuser"]
        address, port = await super().start()
        await self._wait_until_ready(address, port)
        return address, port

    def _goes_on(self, was: dict[str, Any], found: dict[str, Any]) -> bool:
        """As before, and with no shared folder that its user may not have any more."""
        allowed = dict.fromkeys(self.read_only_folders, False) | dict.fromkeys(self.folders, True)
        within = f"{self.home_in_berth}/{FOLDERS_IN_BERTH}/"
        mounted = [mount for mount in found["Mounts"] if mount["Destination"].startswith(within)]
        return super()._goes_on(was, found) and all(
            mount["Source"] in allowed and (allowed[mount["Source"]] or not mount["RW"]) for mount in mounted
        )

    async def poll(self) -> Any:
        """None while the server runs; waits for an engine, or a broker, that does not answer.

        A hub that starts takes a poll that fails for a server that is gone, and would end all of them.
        """
        is_away = False
        while True:
            try:
                return await super().poll()
            except (DockerException, OSError) as error:
                if isinstance(error, APIError) and error.is_client_error():
                    raise
                if not is_away:
                    self.log.warning("Waiting for the engine to say whether %s runs: %s", self._log_name, error)
                is_away = True
            await asyncio.sleep(ENGINE_AWAY_SECONDS)

    async def _wait_until_ready(self, address: str, port: int) -> None:
        """Return at the first HTTP answer; JupyterHub's `start_timeout` bounds the wait."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        next_look = began + ALIVE_POLL_SECONDS
        path = urlsplit(self.server.base_url if self.server else "/").path
        while not await _answers(address, port, path):
            if loop.time() >= next_look:
                if (status := await self.poll()) is not None:
                    raise RuntimeError(
                        f"The berth of {self.user.name} ended before its server answered ({status})."
                        f"{await self._last_lines()}"
                    )
                next_look = loop.time() + ALIVE_POLL_SECONDS
            is_expected = loop.time() - began < QUICK_POLL_FOR_SECONDS
            await asyncio.sleep(QUICK_POLL_SECONDS if is_expected else READY_POLL_SECONDS)

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
