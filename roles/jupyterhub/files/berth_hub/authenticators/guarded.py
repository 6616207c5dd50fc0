"""What every way to log in has here, whichever package checks who somebody is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from berth_names import check_name
from jupyterhub.auth import Authenticator
from jupyterhub.utils import maybe_future
from nativeauthenticator.orm import UserInfo
from sqlalchemy import inspect
from tornado import web
from traitlets import Any as AnyTrait
from traitlets import Integer, Unicode

from berth_hub import admission
from berth_hub.auth import EndSessionHandler
from berth_hub.line import stop_waiting
from berth_hub.monitoring.page import StatusPage
from berth_hub.settings.authentication import Authentication
from berth_hub.sleep import HANDLERS as SLEEP_HANDLERS
from berth_hub.throttle import Throttle, source_address, too_many
from berth_hub.users import UsersHandler


class Guarded(Authenticator):
    """Comes before an authenticator of a package: it identifies, this one decides on who is let in, and how often."""

    settings = AnyTrait(config=True, help="`authentication` of the hub's settings.")
    admission_file = Unicode(config=True, help="Where it is remembered who was admitted.")
    seal = Unicode(config=True, help="Stands for a secret that all users share.")
    failures_per_name = Integer(5, config=True, help="Wrong passwords after which a name is locked.")
    lockout_seconds = Integer(600, config=True, help="For how long.")

    asks_password = True
    """Whether the hub's own page asks for a password, so that guessing is the hub's business."""
    locks_names = True
    """Whether names are locked here, and not by the package."""
    exact_names = False
    """Whether names that differ in case are different people's."""

    def __init__(self, **kwargs: Any) -> None:
        """End what may not go on before anything is served."""
        super().__init__(**kwargs)
        self._by_address = Throttle(self.allowed.failures_per_address, self.allowed.failures_seconds)
        self._by_name = Throttle(self.failures_per_name, self.lockout_seconds)
        if self.admission_file:
            self._apply_admission()

    @property
    def allowed(self) -> Authentication:
        """The settings, with their type."""
        settings: Authentication = self.settings
        return settings

    def _apply_admission(self) -> None:
        database = self._deprecated_db_session
        admins = {self.normalize_username(name) for name in self.admin_users}
        result = admission.apply(database, Path(self.admission_file), self.allowed, admins, self.seal)
        if result == "ended":
            self.log.warning("Who may log in has changed: all sessions and the users' tokens have ended")

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> Any:
        """Who that is, by the package, unless too much was wrong before.

        Raises:
            HTTPError: 429, for an address that must wait.
        """
        if handler is None or not self.asks_password:
            return await maybe_future(super().authenticate(handler, data, **kwargs))
        source = source_address(handler.request, self.allowed.trusted_fronts)
        wait = self._by_address.take(source)
        if wait:
            raise too_many(wait)
        name = self.normalize_username(data.get("username", ""))
        # A locked name gets the same answer as a wrong password.
        if self.locks_names and self._by_name.take(name):
            return None
        try:
            found = await maybe_future(super().authenticate(handler, data, **kwargs))
        except Exception:  # nothing was learnt about the password
            self._by_address.give_back(source)
            self._by_name.give_back(name)
            raise
        if found is not None:
            self._by_address.give_back(source)
            self._by_name.forget(name)
        return found

    async def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Whether somebody whose name is certain may log in."""
        allowed = map(self.normalize_username, self.allowed.allowed_users)
        if self.allowed.everybody or username in self.admin_users or username in allowed:
            return True
        return await self._in_any(self.allowed.allowed_groups + self.allowed.admin_groups, username, authentication)

    async def is_admin(self, handler: Any, authentication: Any) -> bool | None:  # noqa: ARG002 (JupyterHub's signature)
        """Whether somebody is an admin; None leaves it as it is in the database."""
        if authentication["name"] in self.admin_users:
            return True
        if self.allowed.admin_groups:
            return await self._in_any(self.allowed.admin_groups, authentication["name"], authentication)
        return None

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002 (for others)
        """Whether the provider says that somebody is in a group of its."""
        return False

    async def _in_any(self, groups: list[str], username: str, authentication: Any) -> bool:
        for group in groups:
            if await self.in_group(group, username, authentication):
                return True
        return False

    def normalize_username(self, username: str) -> str:
        """Lower case where case does not tell people apart."""
        if self.exact_names:
            return username
        normalized: str = super().normalize_username(username)
        return normalized

    def validate_username(self, username: str) -> bool:
        """Whether it is a name that can have a home."""
        try:
            check_name(username)
        except ValueError as error:
            self.log.warning("Refused: %s", error)
            return False
        return bool(super().validate_username(username))

    async def delete_user(self, user: Any) -> None:
        """Remove the account, for a user of whom nothing waits to start: JupyterHub would start it all the same."""
        await stop_waiting(user)
        await maybe_future(super().delete_user(user))


class Foreign(Guarded):
    """Accounts that are not the hub's own: it keeps no passwords, and locks names itself."""

    keeps_passwords = False
    """Passwords are somebody else's business."""

    def is_blocked(self, name: str) -> bool:
        """Whether a name is locked."""
        return self._by_name.wait_seconds(name) > 0

    def locked_until(self, name: str) -> datetime | None:
        """When a lock-out ends; None if there is none."""
        wait = self._by_name.wait_seconds(name)
        return datetime.now(tz=UTC) + timedelta(seconds=wait) if wait else None

    def successful_login(self, name: str) -> None:
        """End the lock-out of a name."""
        self._by_name.forget(name)

    def get_user(self, name: str) -> None:
        """Nobody has an account of the hub's own."""

    async def delete_user(self, user: Any) -> None:
        """Remove the account that the user may have from a time of passwords of the hub's own, too."""
        await super().delete_user(user)
        database = self._deprecated_db_session
        if inspect(database.get_bind()).has_table(UserInfo.__tablename__):
            database.query(UserInfo).filter(UserInfo.username == user.name).delete()
            database.commit()

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        """Pages of the package, a log-out that ends all sessions, the status page, sleep, and the operator's API."""
        own: list[tuple[Any, ...]] = [(r"/logout", EndSessionHandler), (r"/api/berth/users", UsersHandler)]
        return [*own, *StatusPage(config=app.config).handlers(), *SLEEP_HANDLERS, *super().get_handlers(app)]


def unavailable(who: str) -> web.HTTPError:
    """Build the answer for when whoever checks passwords or identities does not answer."""
    return web.HTTPError(503, f"{who} does not answer: try again in a moment.", reason="Service Unavailable")
