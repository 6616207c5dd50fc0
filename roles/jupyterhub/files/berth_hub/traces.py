"""What a user leaves on the engine and in the hub's database: marked at the start, removed at the end."""

from typing import Any

from berth_names import directory_name
from dockerspawner import DockerSpawner
from jupyterhub import orm
from sqlalchemy.orm import object_session

USER_LABEL = "berth.home"
"""Label of a container: the directory of its user's home, which stands for one user only."""


def labels(spawner: Any) -> dict[str, Any]:
    """What DockerSpawner creates a container with, beyond its own."""
    return {"labels": {USER_LABEL: directory_name(spawner.user.name)}}


class TracedSpawner(DockerSpawner):
    """Knows after a restart of the hub which token its server has, and takes away what is left of its user."""

    _token_id: int | None = None

    def get_state(self) -> dict[str, Any]:
        """As DockerSpawner's, with which of the user's tokens is the server's (not the token itself)."""
        state: dict[str, Any] = super().get_state()
        session = object_session(self.orm_spawner) if self.api_token else None
        if session is not None:
            found = orm.APIToken.find(session, self.api_token)
            self._token_id = None if found is None else found.id
        if self._token_id is not None:
            state["token_id"] = self._token_id
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """As DockerSpawner's."""
        super().load_state(state)
        self._token_id = state.get("token_id")

    def clear_state(self) -> None:
        """As DockerSpawner's: the server has ended."""
        super().clear_state()
        self._token_id = None

    async def remove_leftovers(self) -> None:
        """Remove every container of the user's, of whichever server: one that the hub lost sight of, too."""
        mark = f"{USER_LABEL}={directory_name(self.user.name)}"
        for found in await self.docker("containers", all=True, filters={"label": mark}):
            self.log.warning("Removing what is left of %s: container %s", self.user.name, found["Id"][:12])
            await self.docker("remove_container", found["Id"], v=True, force=True)
