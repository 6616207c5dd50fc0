"""The operator's API for accounts: `POST /hub/api/berth/users`, what playbooks/users.yml speaks."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Literal

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.scopes import needs_scope
from nativeauthenticator.orm import UserInfo
from pydantic import BaseModel, ConfigDict, ValidationError
from tornado import web

from berth_hub import accounts, signup
from berth_hub.names import check_group, user_name
from berth_hub.passwords import check_hash, hash_all


class Wanted(BaseModel):
    """How one account shall be.

    `groups` are added, `groups_absent` taken away; others stay. A `generated` password is left out where it is of no
    use, and so is a `password_hash`, what another hub has kept of a password. `where` is what messages call the entry.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    state: Literal["present", "absent", "approved", "refused"] = "present"
    admin: bool | None = None
    groups: list[str] = []
    groups_absent: list[str] = []
    password: str | None = None
    password_hash: str | None = None
    generated: bool = False
    update_password: Literal["always", "on_create"] = "on_create"
    unlock: bool = False
    delete_home: bool = False
    where: str | None = None


class Request(BaseModel):
    """A list of accounts, an empty one only asks who there is; with `check` nothing is changed."""

    model_config = ConfigDict(extra="forbid")

    users: list[Wanted] = []
    check: bool = False


@dataclass(frozen=True)
class Known:
    """Who is there right now, by name: asked for at once, since hundreds of questions would keep others waiting."""

    users: frozenset[str]
    with_password: frozenset[str]
    waiting: frozenset[str]


class UsersHandler(APIHandler):
    """All or nothing: everything is checked before anything is changed, and one request is done after the other."""

    _one_at_a_time = asyncio.Lock()

    @needs_scope("admin:users")
    async def post(self) -> None:
        """Bring accounts to the wanted state; answers who there is, who waits, and what was changed."""
        request = self._request()
        done: dict[str, list[str]] = {
            key: [] for key in ("created", "removed", "approved", "refused", "unlocked", "passwords_set", "changed")
        }
        self._check(request.users)
        hashes = await self._hashes(request)
        # Not while passwords are hashed: that takes a while, and nobody else need wait for it.
        async with self._one_at_a_time:
            # Meanwhile somebody may have come or gone.
            self._check(request.users)
            if not request.check:
                await self._stop_all(request.users)
            for entry in request.users:
                for what in await self._bring(entry, hashes.get(entry.name), check=request.check):
                    done[what].append(entry.name)
                # The hub has others to answer, too.
                await asyncio.sleep(0)
        self.write(
            json.dumps(
                {
                    "users": self._all(),
                    "waiting": [one.public() for one in signup.waiting(self.db)],
                    "groups": sorted(group.name for group in self.db.query(orm.Group)),
                    "passwords": accounts.keeps_passwords(self.authenticator),
                    "exact_names": bool(getattr(self.authenticator, "exact_names", False)),
                    "groups_elsewhere": bool(getattr(self.authenticator, "manage_groups", False)),
                    **done,
                }
            )
        )

    def _request(self) -> Request:
        body = self.get_json_body()
        try:
            return Request.model_validate({} if body is None else body)
        except ValidationError as error:
            problem = error.errors()[0]
            raise web.HTTPError(400, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None

    def _check(self, wanted: list[Wanted]) -> None:
        known = self._known()
        seen: dict[str, str] = {}
        for number, entry in enumerate(wanted, start=1):
            where = entry.where or f"user {number} ({entry.name})"
            try:
                entry.name = user_name(self.authenticator, entry.name)
                if entry.name in seen:
                    raise ValueError(f"{entry.name!r} is there twice, see {seen[entry.name]}")
                seen[entry.name] = where
                self._check_one(entry, known)
            except ValueError as error:
                raise web.HTTPError(400, f"{where}: {error}") from None

    def _check_one(self, entry: Wanted, known: Known) -> None:
        self._check_password(entry, known)
        self._check_groups(entry)
        if entry.state == "absent" and entry.name in self.authenticator.admin_users:
            raise ValueError(f"{entry.name!r} is in jupyterhub_admins: take it out there first")
        if entry.state in ("approved", "refused") and entry.name not in known.waiting:
            raise ValueError(f"{entry.name!r} does not wait for approval")
        if entry.state == "approved":
            signup.check_approval(self, entry.name)

    def _check_password(self, entry: Wanted, known: Known) -> None:
        if not accounts.keeps_passwords(self.authenticator):
            entry.password_hash = None
            if entry.generated:
                entry.password = None
            if entry.password is not None:
                raise ValueError("passwords are not the hub's business with this jupyterhub_auth: leave it out")
            return
        if entry.password_hash is not None:
            check_hash(entry.password_hash)
            if entry.password is not None:
                raise ValueError("has both a password and a password_hash: leave one out")
        elif entry.state == "present" and entry.password is None and entry.name not in known.users:
            raise ValueError(f"{entry.name!r} is new and needs a password")
        # One that was made up is longer than any that is guessed, whatever the least is.
        if entry.password is not None and not entry.generated:
            self.authenticator.check_password(entry.password)

    def _check_groups(self, entry: Wanted) -> None:
        for group in (*entry.groups, *entry.groups_absent):
            check_group(group)
        if (entry.groups or entry.groups_absent) and getattr(self.authenticator, "manage_groups", False):
            raise ValueError("groups come from where people log in with this jupyterhub_auth: leave them out")

    async def _hashes(self, request: Request) -> dict[str, bytes]:
        """What is kept of the passwords that are going to be set, by name."""
        with_password = self._known().with_password
        setting = [
            entry
            for entry in request.users
            if entry.state == "present"
            and (entry.update_password == "always" or entry.name not in with_password)
            and not request.check
        ]
        kept = {entry.name: entry.password_hash.encode() for entry in setting if entry.password_hash is not None}
        to_set = {entry.name: entry.password for entry in setting if entry.password is not None}
        return kept | dict(zip(to_set, await hash_all(to_set.values()), strict=True))

    def _known(self) -> Known:
        def names(column: Any) -> frozenset[str]:
            return frozenset(name for (name,) in self.db.query(column))

        return Known(names(orm.User.name), names(UserInfo.username), names(signup.SignUp.name))

    def _sets_password(self, entry: Wanted) -> bool:
        if entry.password is None and entry.password_hash is None:
            return False
        return entry.update_password == "always" or self.authenticator.get_user(entry.name) is None

    async def _stop_all(self, wanted: list[Wanted]) -> None:
        going = [self.find_user(entry.name) for entry in wanted if entry.state == "absent"]
        # All at once: a container may take ten seconds to stop.
        await asyncio.gather(*(accounts.stop_servers(self, user) for user in going if user is not None))

    async def _bring(self, entry: Wanted, hashed: bytes | None, *, check: bool) -> list[str]:
        """Bring one account to the wanted state, or find out; returns the keys of the answer that it belongs to."""
        request = signup.find(self.db, entry.name)
        if entry.state == "approved":
            if request is not None and not check:
                await signup.approve(self, request)
                self._group(self.find_user(entry.name), entry, check=False)
            return ["approved", "created", "changed"]
        if entry.state == "refused":
            if request is not None and not check:
                signup.refuse(self.db, request)
            return ["refused", "changed"]
        # Whoever the operator adds or removes does not wait any more.
        if request is not None and not check:
            signup.refuse(self.db, request)
        user = self.find_user(entry.name)
        if entry.state == "absent":
            if user is not None and not check:
                await accounts.remove(self, user)
            if user is not None:
                return ["removed", "changed"]
            return [] if request is None else ["changed"]
        return await self._present(entry, user, hashed, check=check)

    async def _present(self, entry: Wanted, user: Any, hashed: bytes | None, *, check: bool) -> list[str]:
        sets_password = self._sets_password(entry)
        done = ["passwords_set"] if sets_password else []
        if user is None:
            if not check:
                user = await accounts.create(self, entry.name, admin=bool(entry.admin), hashed=hashed)
                self._group(user, entry, check=False)
            return [*done, "created", "changed"]
        changed = sets_password or (entry.admin is not None and user.admin != entry.admin)
        if not check:
            accounts.update(self, user, admin=entry.admin, hashed=hashed)
        changed = self._group(user, entry, check=check) or changed
        if entry.unlock and accounts.locked_until(self.authenticator, entry.name) is not None:
            if not check:
                accounts.unlock(self.authenticator, entry.name)
            done.append("unlocked")
            changed = True
        return [*done, "changed"] if changed else done

    def _group(self, user: Any, entry: Wanted, *, check: bool) -> bool:
        before = {group.name for group in user.groups}
        after = (before | set(entry.groups)) - set(entry.groups_absent)
        if after == before:
            return False
        if not check:
            user.sync_groups(after)
        return True

    def _all(self) -> list[dict[str, Any]]:
        found = []
        for row in self.db.query(orm.User).order_by(orm.User.name):
            model = self.user_model(row)
            locked_until = accounts.locked_until(self.authenticator, row.name)
            running = [name for name, server in model.get("servers", {}).items() if not server.get("stopped")]
            found.append(
                {
                    "name": row.name,
                    "admin": row.admin,
                    "groups": sorted(group.name for group in row.groups),
                    "created": model.get("created"),
                    "last_activity": model.get("last_activity"),
                    "servers": len(running),
                    "server_names": sorted(running),
                    "locked": locked_until is not None,
                    "locked_until": locked_until,
                }
            )
        return found
