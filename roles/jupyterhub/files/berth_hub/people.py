"""`/hub/people`: where admins approve who signed up, see lock-outs, and find the page for a new password."""

from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from tornado import web

from berth_hub import accounts, signup


class PeopleHandler(BaseHandler):
    """Changes by POST only: a link on another site must not approve anybody."""

    @needs_scope("admin:users")
    async def get(self) -> None:
        """Show who waits, and everybody."""
        await self._show()

    @needs_scope("admin:users")
    async def post(self) -> None:
        """Approve or refuse somebody who waits, or end a lock-out."""
        name = self.get_body_argument("name")
        action = self.get_body_argument("action")
        if action == "unlock":
            done = f"{name} is no longer locked out." if accounts.unlock(self.authenticator, name) else ""
            await self._show(done=done)
            return
        if action not in ("approve", "refuse"):
            raise web.HTTPError(400, "An action is approve, refuse or unlock.")
        request = signup.find(self.db, name)
        if request is None:
            await self._show(problem=f"{name} does not wait any more.")
            return
        if action == "refuse":
            signup.refuse(self.db, request)
            self.log.info("%s refused %s", self.current_user.name, name)
            await self._show(done=f"{name} was refused.")
            return
        try:
            await signup.approve(self, request)
        except ValueError as error:
            await self._show(problem=str(error))
            return
        self.log.info("%s approved %s", self.current_user.name, name)
        await self._show(done=f"{name} can log in now.")

    async def _show(self, *, problem: str = "", done: str = "") -> None:
        if problem:
            self.set_status(409)
        self.set_header("Cache-Control", "no-store")
        everybody: list[dict[str, Any]] = [
            {
                "name": user.name,
                "admin": user.admin,
                "groups": sorted(group.name for group in user.groups),
                "locked_until": accounts.locked_until(self.authenticator, user.name),
            }
            for user in self.db.query(orm.User).order_by(orm.User.name)
        ]
        waiting = [request.public() for request in signup.waiting(self.db)]
        page = await self.render_template(
            "people.html",
            everybody=everybody,
            waiting=waiting,
            signup=self.authenticator.signup,
            problem=problem,
            done=done,
        )
        self.finish(page)
