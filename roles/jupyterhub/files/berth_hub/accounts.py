"""Changes of accounts, each done whole; who may ask for them is up to the handlers that call."""

import asyncio
from typing import Any

from jupyterhub.roles import assign_default_roles
from jupyterhub.utils import maybe_future
from tornado import web

from berth_hub.line import stop_waiting
from berth_hub.passwords import end_sessions

SETTLE_SECONDS = 90
"""Longest to wait for a server that is just starting or stopping: seconds, or a minute on a host that is overloaded."""


def keeps_passwords(authenticator: Any) -> bool:
    """Whether passwords are the hub's business at all; with LDAP and the like they are not."""
    return bool(getattr(authenticator, "keeps_passwords", False))


async def create(handler: Any, name: str, *, admin: bool, hashed: bytes | None) -> Any:
    """Make a user, with a password if there is one; returns JupyterHub's User."""
    user = handler.user_from_username(name)
    user.admin = admin
    assign_default_roles(handler.db, entity=user.orm_user)
    handler.db.commit()
    await maybe_future(handler.authenticator.add_user(user))
    if hashed is not None:
        handler.authenticator.store_password(name, hashed)
    return user


def update(handler: Any, user: Any, *, admin: bool | None, hashed: bytes | None) -> bool:
    """Change what is given; returns whether anything was. A new password ends sessions and tokens."""
    changed = False
    if admin is not None and user.admin != admin:
        user.admin = admin
        assign_default_roles(handler.db, entity=user.orm_user)
        handler.db.commit()
        changed = True
    if hashed is not None:
        handler.authenticator.store_password(user.name, hashed)
        end_sessions(handler.db, user)
        changed = True
    return changed


async def stop_servers(handler: Any, user: Any) -> None:
    """Stop all servers of a user, and remove what is left of them on the engine.

    Raises:
        HTTPError: 409, if one does not start or stop within `SETTLE_SECONDS`; the user is still there.
    """
    await stop_waiting(user)
    for name, spawner in list(user.spawners.items()):
        await _settle(user, spawner)
        if spawner.ready:
            await handler.stop_single_user(user, name)
        # JupyterHub gives up waiting after 10 s, and the server goes on stopping.
        await _settle(user, spawner)
    remove_leftovers = getattr(user.spawner, "remove_leftovers", None)
    if remove_leftovers is not None:
        await remove_leftovers()


async def _settle(user: Any, spawner: Any) -> None:
    """Wait while a server starts or stops."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    while spawner.pending:
        if loop.time() > deadline:
            raise web.HTTPError(409, f"a server of {user.name} is in {spawner.pending}: try again in a moment")
        await asyncio.sleep(0.2)


async def remove(handler: Any, user: Any) -> None:
    """Remove a user whose servers are stopped: account, tokens, sessions, groups, lock-out."""
    name = user.name
    # While those of others were stopped, this one's may have been started again.
    if any(spawner.active for spawner in user.spawners.values()):
        await stop_servers(handler, user)
    await maybe_future(handler.authenticator.delete_user(user))
    await user.delete_spawners()
    handler.users.delete(user)
    unlock(handler.authenticator, name)


def unlock(authenticator: Any, name: str) -> bool:
    """End a lock-out and forget wrong passwords; returns whether there was a lock-out."""
    if locked_until(authenticator, name) is None:
        getattr(authenticator, "login_attempts", {}).pop(name, None)
        return False
    authenticator.successful_login(name)
    return True


def locked_until(authenticator: Any, name: str) -> str | None:
    """When a lock-out ends, in ISO 8601; None if there is none."""
    ask = getattr(authenticator, "locked_until", None)
    moment = ask(name) if ask else None
    return None if moment is None else str(moment.isoformat(timespec="seconds"))
