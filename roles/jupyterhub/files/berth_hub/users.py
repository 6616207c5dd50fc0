"""The operator's API for accounts: `POST /hub/api/berth/users`, what playbooks/users.yml speaks."""

import json
from typing import Any, Literal

from berth_names import check_name
from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.roles import assign_default_roles
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import maybe_future
from pydantic import BaseModel, ConfigDict, ValidationError
from tornado import web


class Wanted(BaseModel):
    """How one account shall be."""

    model_config = ConfigDict(extra="forbid")

    name: str
    state: Literal["present", "absent"] = "present"
    admin: bool | None = None
    password: str | None = None
    update_password: Literal["always", "on_create"] = "on_create"
    delete_home: bool = False


class Request(BaseModel):
    """A list of accounts; an empty one only asks for the list of all."""

    model_config = ConfigDict(extra="forbid")

    users: list[Wanted] = []


class UsersHandler(APIHandler):
    """All or nothing: everything is checked before anything is changed."""

    @needs_scope("admin:users")
    async def post(self) -> None:
        """Bring accounts to the wanted state; answers {users, changed, created, removed}."""
        wanted = self._wanted()
        created, changed, removed = [], [], []
        for entry in wanted:
            user = self.find_user(entry.name)
            if entry.state == "absent":
                if user is not None:
                    await self._remove(user)
                    removed.append(entry.name)
            elif user is None:
                await self._create(entry)
                created.append(entry.name)
            elif self._update(user, entry):
                changed.append(entry.name)
        self.write(
            json.dumps(
                {
                    "users": self._all(),
                    "created": created,
                    "removed": removed,
                    "changed": [*created, *changed, *removed],
                }
            )
        )

    def _wanted(self) -> list[Wanted]:
        body = self.get_json_body()
        try:
            wanted = Request.model_validate({} if body is None else body).users
        except ValidationError as error:
            problem = error.errors()[0]
            raise web.HTTPError(400, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
        for number, entry in enumerate(wanted, start=1):
            entry.name = self.authenticator.normalize_username(entry.name)
            try:
                check_name(entry.name)
                if not self.authenticator.validate_username(entry.name):
                    raise ValueError(f"{entry.name!r} is not a user name: no blanks, commas or slashes")
                exists = self.find_user(entry.name) is not None
                if entry.state == "present" and not exists and entry.password is None:
                    raise ValueError(f"{entry.name!r} is new and needs a password")
                if entry.password is not None:
                    self.authenticator.check_password(entry.password)
                if entry.state == "absent" and entry.name in self.authenticator.admin_users:
                    raise ValueError(f"{entry.name!r} is in jupyterhub_admins: take it out there first")
            except ValueError as error:
                raise web.HTTPError(400, f"user {number} ({entry.name}): {error}") from None
        return wanted

    async def _create(self, entry: Wanted) -> None:
        user = self.user_from_username(entry.name)
        user.admin = bool(entry.admin)
        assign_default_roles(self.db, entity=user)
        self.db.commit()
        await maybe_future(self.authenticator.add_user(user))
        self.authenticator.set_password(entry.name, entry.password)

    def _update(self, user: Any, entry: Wanted) -> bool:
        changed = False
        if entry.admin is not None and user.admin != entry.admin:
            user.admin = entry.admin
            assign_default_roles(self.db, entity=user)
            self.db.commit()
            changed = True
        no_account = self.authenticator.get_user(entry.name) is None
        if entry.password is not None and (entry.update_password == "always" or no_account):
            self.authenticator.set_password(entry.name, entry.password)
            changed = True
        return changed

    async def _remove(self, user: Any) -> None:
        for name, spawner in list(user.spawners.items()):
            if spawner.pending:
                raise web.HTTPError(409, f"a server of {user.name} is in {spawner.pending}: try again in a moment")
            if spawner.ready:
                await self.stop_single_user(user, name)
            if spawner.pending:
                raise web.HTTPError(409, f"a server of {user.name} takes long to stop: try again in a moment")
        await maybe_future(self.authenticator.delete_user(user))
        await user.delete_spawners()
        self.users.delete(user)

    def _all(self) -> list[dict[str, Any]]:
        found = []
        for row in self.db.query(orm.User).order_by(orm.User.name):
            model = self.user_model(row)
            found.append(
                {
                    "name": row.name,
                    "admin": row.admin,
                    "created": model.get("created"),
                    "last_activity": model.get("last_activity"),
                    "servers": sum(1 for server in model.get("servers", {}).values() if not server.get("stopped")),
                    "locked": self.authenticator.is_blocked(row.name),
                }
            )
        return found
