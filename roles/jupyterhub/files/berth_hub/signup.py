"""Sign-up: whoever asks for an account waits until an admin has approved it."""

from datetime import UTC, datetime
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.orm import Base
from nativeauthenticator.orm import UserInfo
from sqlalchemy import Column, DateTime, Integer, LargeBinary, Unicode
from tornado import web

from berth_hub import accounts
from berth_hub.names import user_name
from berth_hub.passwords import hash_password
from berth_hub.throttle import Throttle, source_address, too_many

NOTE_LENGTH_MAX = 200
"""Characters that somebody may write to the admin who decides."""


PER_ADDRESS_MAX = 30
"""Requests from one address within the period: a class behind one router, not a program."""

PERIOD_SECONDS = 3600


_throttle = Throttle(PER_ADDRESS_MAX, PERIOD_SECONDS)


class SignUp(Base):
    """Somebody who waits for approval; made with the hub's other tables when the hub starts."""

    __tablename__ = "berth_signups"

    id = Column(Integer, primary_key=True, autoincrement=True)
    name = Column(Unicode(255), unique=True, nullable=False)
    password = Column(LargeBinary, nullable=False)
    note = Column(Unicode(NOTE_LENGTH_MAX), default="", nullable=False)
    address = Column(Unicode(64), default="", nullable=False)
    created = Column(DateTime, nullable=False)

    def public(self) -> dict[str, str]:
        """What an admin decides by."""
        created = self.created.replace(tzinfo=UTC).isoformat(timespec="seconds")
        return {"name": str(self.name), "note": str(self.note), "address": str(self.address), "since": created}


def waiting(db: Any) -> list[SignUp]:
    """Who waits, the longest first."""
    return list(db.query(SignUp).order_by(SignUp.created, SignUp.id))


def find(db: Any, name: str) -> SignUp | None:
    """Somebody's request."""
    found: SignUp | None = db.query(SignUp).filter(SignUp.name == name).first()
    return found


def refuse(db: Any, request: SignUp) -> None:
    """Forget a request; the same person may ask again."""
    db.delete(request)
    db.commit()


async def approve(handler: Any, request: SignUp) -> None:
    """Make the account with the password that was chosen.

    Raises:
        ValueError: if somebody of that name has an account since.
    """
    name = str(request.name)
    check_approval(handler, name)
    await accounts.create(handler, name, admin=False, hashed=bytes(request.password))
    refuse(handler.db, request)


def check_approval(handler: Any, name: str) -> None:
    """Refuse to approve whoever would take over an account.

    Raises:
        ValueError: says why.
    """
    if not accounts.keeps_passwords(handler.authenticator):
        raise ValueError("sign-up has passwords of the hub's own, which this jupyterhub_auth does not")
    if UserInfo.find(handler.db, name) is not None or handler.find_user(name) is not None:
        raise ValueError(f"{name!r} has an account already: refuse the request")


class SignUpHandler(BaseHandler):
    """`/hub/signup`: the answer is the same whether somebody of that name has an account, or waits, or neither."""

    async def get(self) -> None:
        """Show the form."""
        await self._show()

    async def post(self) -> None:
        """Note the request down."""
        name = self.get_body_argument("username", "")
        password = self.get_body_argument("password", "", strip=False)
        note = " ".join(self.get_body_argument("note", "").split())
        try:
            name = user_name(self.authenticator, name)
            self.authenticator.check_password(password)
            if password != self.get_body_argument("password_confirmation", "", strip=False):
                raise ValueError("the two passwords differ")
            if len(note) > NOTE_LENGTH_MAX:
                raise ValueError(f"a note has at most {NOTE_LENGTH_MAX} characters")
        except ValueError as error:
            self.set_status(400)
            text = str(error)
            await self._show(name=name, note=note, problem=f"{text[:1].upper()}{text[1:]}.")
            return
        source = source_address(self.request, self.authenticator.allowed.trusted_fronts)
        if wait := _throttle.take(source):
            raise too_many(wait)
        # For every name, so that the time tells nothing either.
        hashed = await hash_password(password)
        if self.db.query(SignUp).count() >= self.authenticator.signup_waiting_max:
            raise web.HTTPError(503, "Too many people wait for approval: ask an administrator.")
        known = find(self.db, name) or self.authenticator.get_user(name) or orm.User.find(self.db, name)
        if known is None:
            request = SignUp(
                name=name,
                password=hashed,
                note=note,
                address=source,
                created=datetime.now(UTC).replace(tzinfo=None),
            )
            self.db.add(request)
            self.db.commit()
            self.log.info("%s asks for an account", name)
        await self._show(done=True)

    async def _show(self, *, name: str = "", note: str = "", problem: str | None = None, done: bool = False) -> None:
        self.set_header("Cache-Control", "no-store")
        page = await self.render_template(
            "signup.html",
            asked_for=name,
            note=note,
            note_length_max=NOTE_LENGTH_MAX,
            problem=problem,
            done=done,
            rules=self.authenticator.password_rules(),
        )
        self.finish(page)
