"""Passwords: hashed beside the hub's event loop, changed by their owner or an admin on pages of our own."""

import asyncio
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bcrypt
from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from tornado import web

from berth_hub.secrets import readable_password

# A hash takes a fifth of a second of one processor on purpose. A pool of its own, so that nobody who logs in waits for
# the class that is being added; bcrypt lets go of Python's lock meanwhile.
_hashing = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hash")

HASH_ROUNDS = 12
"""Of bcrypt, as a power of two: its default, which NativeAuthenticator and FirstUseAuthenticator use, too."""

_HASH = re.compile(rf"\$2[aby]\${HASH_ROUNDS}\$[./A-Za-z0-9]{{53}}")


def _hash(password: str) -> bytes:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())


def check_hash(kept: str) -> None:
    """Refuse what another hub has kept of a password, if it cannot be compared with here.

    With as many rounds as all others: how long a log-in takes must not tell who has an account.

    Raises:
        ValueError: says what is allowed.
    """
    if not _HASH.fullmatch(kept):
        raise ValueError(f"password_hash is not of bcrypt with {HASH_ROUNDS} rounds: give a password instead")


async def hash_password(password: str) -> bytes:
    """What is kept of a password; the hub goes on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_hashing, _hash, password)


async def hash_all(passwords: Iterable[str]) -> list[bytes]:
    """The same for many, in their order, as many at once as there are processors."""
    return list(await asyncio.gather(*map(hash_password, passwords)))


def end_sessions(db: Any, user: Any) -> None:
    """End every session and every API token of a user; running servers keep the token that they speak to the hub with.

    Args:
        db: the hub's database session; committed.
        user: JupyterHub's User.
    """
    kept = {token_id for spawner in user.spawners.values() if (token_id := _token_of_server(db, spawner)) is not None}
    user.orm_user.cookie_id = orm.new_token()
    for token in list(user.orm_user.api_tokens):
        if token.id not in kept:
            db.delete(token)
    for code in list(user.orm_user.oauth_codes):
        db.delete(code)
    db.commit()


def _token_of_server(db: Any, spawner: Any) -> int | None:
    """Which of the user's tokens a running server has; not by its note, which anybody can give to a token."""
    if not spawner.active:
        return None
    if spawner.api_token:
        found = orm.APIToken.find(db, spawner.api_token)
        return None if found is None else int(found.id)
    # The hub was started since, and has forgotten the token itself.
    state = spawner.orm_spawner.state or {}
    return state.get("token_id")


class PasswordHandler(BaseHandler):
    """`/hub/change-password`: one's own, with the old one."""

    @web.authenticated
    async def get(self) -> None:
        """Show the form."""
        await self._show()

    @web.authenticated
    async def post(self) -> None:
        """Change it: a wrong old password counts like a wrong one at the log-in."""
        user = self.current_user
        old = self.get_body_argument("old_password", "", strip=False)
        new = self.get_body_argument("new_password", "", strip=False)
        problem = self._problem(new)
        if problem is None and new == old:
            problem = "The new password is the old one."
        if problem is None:
            # Only after what anybody may know: nobody learns here whether the old one was right.
            name = await self.authenticator.authenticate(self, {"username": user.name, "password": old})
            if name is None:
                locked = self.authenticator.locked_until(user.name) is not None
                problem = (
                    "Too many wrong passwords: wait, or ask an administrator."
                    if locked
                    else "The old password is wrong."
                )
        if problem is not None:
            self.set_status(400)
            await self._show(problem=problem)
            return
        self.authenticator.store_password(user.name, await hash_password(new))
        end_sessions(self.db, user)
        # This browser goes on; its cookie is as worthless as the others' by now.
        self.set_hub_cookie(user)
        self.log.info("%s changed the password", user.name)
        await self._show(done=True)

    def _problem(self, new: str) -> str | None:
        if new != self.get_body_argument("new_password_confirmation", "", strip=False):
            return "The two new passwords differ."
        try:
            self.authenticator.check_password(new)
        except ValueError as error:
            return _sentence(error)
        return None

    async def _show(self, problem: str | None = None, *, done: bool = False) -> None:
        self.set_header("Cache-Control", "no-store")
        rules = self.authenticator.password_rules()
        self.finish(await self.render_template("change-password.html", problem=problem, done=done, rules=rules))


class PasswordOfHandler(BaseHandler):
    """`/hub/change-password/NAME`: somebody else's, for admins; made up, and shown once."""

    @needs_scope("admin:users")
    async def get(self, name: str) -> None:
        """Show the form."""
        await self._show(self._user(name))

    @needs_scope("admin:users")
    async def post(self, name: str) -> None:
        """Make up a password; lock-out, sessions and tokens of that user end."""
        user = self._user(name)
        password = readable_password()
        self.authenticator.store_password(user.name, await hash_password(password))
        end_sessions(self.db, user)
        self.log.info("%s gave %s a new password", self.current_user.name, user.name)
        await self._show(user, password)

    def _user(self, name: str) -> Any:
        user = self.find_user(name)
        if user is None:
            raise web.HTTPError(404, "There is no such user.")
        if user.name == self.current_user.name:
            raise web.HTTPError(400, "Your own password is changed on your own page.")
        return user

    async def _show(self, user: Any, password: str | None = None) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(await self.render_template("new-password.html", person=user.name, password=password))


def _sentence(error: ValueError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
