"""Berths that sleep: an idle one is frozen with its kernels, and goes on where it was when its user comes back."""

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any

from docker.errors import APIError, DockerException
from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.scopes import needs_scope
from sqlalchemy import text
from tornado import web

from berth_hub.subdomains import PartedSpawner

WAKE_SECONDS = 20
"""How long a server that was woken has to answer, before a new one is started in its place."""

SAME_AS_BEFORE = (
    "JUPYTERHUB_API_URL",
    "JUPYTERHUB_BASE_URL",
    "JUPYTERHUB_HOST",
    "JUPYTERHUB_PUBLIC_HUB_URL",
    "JUPYTERHUB_SERVICE_PREFIX",
)
"""What a server is told once, when it starts; with another hub around it, it could not be used."""


class SleepingSpawner(PartedSpawner):
    """Puts its berth to sleep, instead of stopping it, when it is told to before; starting it again wakes it.

    For JupyterHub a berth that sleeps is stopped, and one that resumes: so it keeps token and OAuth client.
    """

    api_token: str
    """JupyterHub's trait: what the server proves itself with."""

    falls_asleep = False
    """Whether the next stop is a sleep."""

    _asleep: dict[str, Any] | None = None
    _paused = False

    @property
    def will_resume(self) -> bool:
        """Whether JupyterHub keeps the server's token and OAuth client."""
        return self._asleep is not None

    @property
    def asleep_since(self) -> str | None:
        """When it fell asleep, in ISO 8601; None if it does not sleep."""
        return self._asleep["since"] if self._asleep else None

    def get_state(self) -> dict[str, Any]:
        """As all spawners', with what is known of a berth that sleeps."""
        state = super().get_state()
        return {**state, "asleep": self._asleep} if self._asleep else state

    def load_state(self, state: dict[str, Any]) -> None:
        """As all spawners'."""
        super().load_state(state)
        self._asleep = state.get("asleep")

    async def get_object(self) -> Any:
        """As DockerSpawner's: what the engine says of the container."""
        found = await super().get_object()
        self._paused = bool(found and found["State"].get("Paused"))
        return found

    async def poll(self) -> Any:
        """None while the server runs, and is awake."""
        status = await super().poll()
        return "asleep" if status is None and self._paused else status

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002 (as JupyterHub calls it)
        """Stop the berth, or have it fall asleep; if that fails, it is stopped."""
        falls_asleep, self.falls_asleep = self.falls_asleep, False
        if falls_asleep:
            try:
                await self.docker("pause", self.object_id)
            except APIError as error:
                self.log.warning("%s does not fall asleep, and is stopped: %s", self._log_name, error)
            else:
                self._asleep = {
                    "since": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                    "token_id": self._token_id,
                    "profile": self.last_profile,
                }
                return
        await super().stop(now)

    async def wakes(self) -> bool:
        """Whether starting now wakes a berth that sleeps, rather than making a new one."""
        if self._asleep is None:
            return False
        found = await self.get_object()
        return self._paused and self._goes_on(self._asleep, found)

    async def wake(self) -> tuple[str, int] | None:
        """Address and port of the berth that slept, once its server answers; None if a new one has to be started."""
        was, self._asleep = self._asleep, None
        found = await self.get_object()
        if not self._paused:
            self._forget_token(was)
            if found and found["State"].get("Running"):
                # Of a server that this hub knows nothing of, since its database went back: it would be in the way.
                await self.stop_object()
            return None
        self.object_id = found["Id"]
        await self.docker("unpause", self.object_id)
        environment = _environment(found)
        if was and self._goes_on(was, found):
            of_a_new_one = self.api_token
            self.api_token = environment["JUPYTERHUB_API_TOKEN"]
            self._started_for = self._name()
            address, port = await self.get_ip_and_port()
            try:
                async with asyncio.timeout(WAKE_SECONDS):
                    await self._wait_until_ready(address, port)
            except (TimeoutError, RuntimeError) as error:
                self.log.warning("%s slept, and does not wake: %r", self._log_name, error)
                self.api_token = of_a_new_one
            else:
                return address, port
        self._forget_token(was)
        await self.stop_object()
        await self.remove_object()
        return None

    async def end_sleep(self) -> None:
        """Stop a berth that sleeps, for good; nothing happens if it does not sleep."""
        if self._asleep is None:
            return
        was, self._asleep = self._asleep, None
        self._forget_token(was)
        await self.get_object()
        if self._paused:
            # Frozen, it would hear no signal.
            await self.docker("unpause", self.object_id)
            await self.stop_object()
            await self.remove_object()
        self.clear_state()

    async def delete_forever(self) -> None:
        """As JupyterHub calls it for a user or a named server that is removed: what sleeps goes, too."""
        await self.end_sleep()

    async def frozen(self) -> set[str]:
        """Names of all containers that the engine has frozen."""
        listed: list[dict[str, Any]] = await self.docker("containers", all=True, filters={"status": ["paused"]})
        return {name.removeprefix("/") for one in listed for name in one.get("Names") or []}

    def has_gone(self) -> None:
        """Its container is no more, as after a restart of the host: it does not sleep, it is stopped."""
        was, self._asleep = self._asleep, None
        self._forget_token(was)
        self.clear_state()

    async def _wait_until_ready(self, address: str, port: int) -> None:
        raise NotImplementedError

    def _goes_on(self, was: dict[str, Any], found: dict[str, Any]) -> bool:
        """Whether the berth is the one that its user asks for now, and of this hub."""
        told, environment = self.get_env(), _environment(found)
        return was["profile"] == self.last_profile and all(
            str(told.get(name, "")) == environment.get(name, "") for name in SAME_AS_BEFORE
        )

    def _forget_token(self, was: dict[str, Any] | None) -> None:
        """The token of a berth that slept and is no more lets nobody in any longer."""
        if not was or was["token_id"] is None or self.db is None:
            return
        token = self.db.query(orm.APIToken).filter_by(id=was["token_id"], user_id=self.user.id).one_or_none()
        if token is not None:
            self.db.delete(token)
            self.db.commit()


def _environment(container: dict[str, Any]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in container["Config"]["Env"] if "=" in line)


class SleepersHandler(APIHandler):
    """`/hub/api/berth/sleep`: who sleeps."""

    @needs_scope("list:users")
    async def get(self) -> None:
        """List the servers that sleep, those that fell asleep first before the others."""
        found = [
            {"user": one.user.name, "server": one.name, "since": one.asleep_since}
            for one in await sleepers(self.db, self.find_user)
        ]
        self.finish(json.dumps(found))


async def sleepers(db: Any, find_user: Callable[[str], Any]) -> list[SleepingSpawner]:
    """The servers that sleep, those that fell asleep first before the others.

    Args:
        db: The hub's database.
        find_user: Of a handler's: makes a user of a name.
    """
    spawners = [
        find_user(one.user.name).get_spawner(one.name)
        # As the text that it is: a hub of thousands has few that sleep, and decodes no others.
        for one in db.query(orm.Spawner).filter(text("""spawners.state LIKE '%"asleep"%'"""))
        if (one.state or {}).get("asleep")
    ]
    asleep = [spawner for spawner in spawners if spawner.asleep_since and not spawner.active]
    for gone in await _gone(asleep):
        asleep.remove(gone)
        gone.has_gone()
        gone.orm_spawner.state = gone.get_state()
        db.commit()
    return sorted(asleep, key=lambda spawner: spawner.asleep_since)


async def _gone(asleep: Sequence[SleepingSpawner]) -> list[SleepingSpawner]:
    """Those that the engine has not frozen; none if it does not answer."""
    if not asleep:
        return []
    try:
        frozen = await asleep[0].frozen()
    except (DockerException, OSError) as error:
        asleep[0].log.warning("who sleeps is not known, since the engine does not answer: %s", error)
        return []
    # Looked at once more: what was woken meanwhile is not frozen, and has not gone.
    return [one for one in asleep if one.asleep_since and not one.active and one.object_name not in frozen]


class SleepHandler(APIHandler):
    """`/hub/api/berth/sleep/USER[/SERVER]`: fall asleep, end the sleep."""

    @needs_scope("delete:servers")
    async def post(self, user_name: str, server_name: str = "") -> None:
        """Put a server to sleep.

        Raises:
            tornado.web.HTTPError: 404 if there is none, 400 if it does not run.
        """
        user, spawner = self._found(user_name, server_name)
        if not spawner.ready:
            raise web.HTTPError(400, f"{spawner._log_name} does not run")  # noqa: SLF001 (as JupyterHub's handlers)
        spawner.falls_asleep = True
        try:
            await self.stop_single_user(user, server_name)
        except Exception:
            spawner.falls_asleep = False
            raise
        self.set_status(202 if spawner._stop_pending else 204)  # noqa: SLF001

    @needs_scope("delete:servers")
    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Stop a server that sleeps.

        Raises:
            tornado.web.HTTPError: 404 if there is none, 400 if it does not sleep.
        """
        user, spawner = self._found(user_name, server_name)
        if spawner.active or not spawner.will_resume:
            raise web.HTTPError(400, f"{spawner._log_name} does not sleep")  # noqa: SLF001
        # Takes seconds: for whoever wants to start it meanwhile, it is stopping.
        spawner._stop_pending = True  # noqa: SLF001 (as JupyterHub's handlers)
        try:
            await spawner.end_sleep()
            spawner.orm_spawner.state = spawner.get_state()
            self.db.commit()
        finally:
            spawner._stop_pending = False  # noqa: SLF001 (as above)
        user.spawners.pop(server_name, None)
        self.set_status(204)

    def _found(self, user_name: str, server_name: str) -> tuple[Any, Any]:
        user = self.find_user(user_name)
        if user is None or server_name not in user.orm_spawners:
            raise web.HTTPError(404)
        return user, user.get_spawner(server_name)


HANDLERS = [
    (r"/api/berth/sleep", SleepersHandler),
    (r"/api/berth/sleep/([^/]+)", SleepHandler),
    (r"/api/berth/sleep/([^/]+)/([^/]+)", SleepHandler),
]
"""Also where servers do not fall asleep: some may sleep since the site decided otherwise."""
