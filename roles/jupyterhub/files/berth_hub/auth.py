"""Accounts of the hub itself: NativeAuthenticator, with accounts that only an admin makes."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import bcrypt
from jupyterhub.handlers.login import LogoutHandler
from jupyterhub.orm import new_token
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.orm import UserInfo
from traitlets import Enum, Integer, Unicode

from berth_hub.monitoring.page import StatusPage
from berth_hub.passwords import PasswordHandler, PasswordOfHandler
from berth_hub.people import PeopleHandler
from berth_hub.signup import SignUpHandler
from berth_hub.sleep import HANDLERS as SLEEP_HANDLERS
from berth_hub.users import UsersHandler

PASSWORD_BYTES_MAX = 72
"""What bcrypt looks at."""


class EndSessionHandler(LogoutHandler):
    """Logs out for good: JupyterHub only takes the cookies from the browser, and a copy of them would stay valid."""

    async def default_handle_logout(self) -> None:
        """Make every cookie of the user's worthless, in whichever browser it is."""
        user = self.current_user
        await super().default_handle_logout()
        if user:
            user.orm_user.cookie_id = new_token()
            self.db.commit()


class BerthAuthenticator(NativeAuthenticator):
    """Accounts with passwords of the hub's own; the first admin's comes from a file that is made on the host."""

    admin_password_file = Unicode(config=True, help="Password of admins who have no account yet.")
    signup = Enum(["closed", "approval"], "closed", config=True, help="Whether people may ask for an account.")
    signup_waiting_max = Integer(100, config=True, help="How many may wait for approval at once.")

    keeps_passwords = True
    """Passwords are the hub's own business here, as they are not with LDAP and the like."""

    # Compared against for names that have no account, so that they take as long as those that have one; nobody's, and
    # written down, since to make one takes a tenth of a hub's start.
    _nobody = b"$2b$12$yBwrijH.CslmndwbFoARr.YYyzIxo5kejt43QaliJUH8oJwcvLdNW"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the accounts of admins who have none."""
        super().__init__(*args, **kwargs)
        # As they are asked for later; JupyterHub does so with its list after this.
        for name in map(self.normalize_username, self.admin_users):
            if self.get_user(name) is None:
                # By chance, not by somebody: what is asked of chosen ones is not asked of it.
                password = Path(self.admin_password_file).read_bytes().strip()
                self.store_password(name, bcrypt.hashpw(password, bcrypt.gensalt()))

    def check_password(self, password: str) -> None:
        """Refuse a password that an account must not have.

        Raises:
            ValueError: says what is allowed.
        """
        if len(password) < self.minimum_password_length:
            raise ValueError(f"a password has at least {self.minimum_password_length} characters")
        if len(password.encode()) > PASSWORD_BYTES_MAX:
            raise ValueError(f"a password has at most {PASSWORD_BYTES_MAX} bytes in UTF-8")
        if self.check_common_password and self.is_password_common(password):
            raise ValueError("that password is among those that are tried first: choose another")

    def password_rules(self) -> str:
        """The same as a sentence, for whoever chooses one."""
        return (
            f"At least {self.minimum_password_length} characters, at most {PASSWORD_BYTES_MAX} bytes,"
            " and none of those that are tried first."
        )

    def set_password(self, name: str, password: str) -> None:
        """Give an account a password, and make the account if there is none; its lock-out ends.

        Takes a fifth of a second: what the running hub does goes by `store_password`.

        Raises:
            ValueError: if the password is not allowed.
        """
        self.check_password(password)
        self.store_password(name, bcrypt.hashpw(password.encode(), bcrypt.gensalt()))

    def store_password(self, name: str, hashed: bytes) -> None:
        """The same with what `berth_hub.passwords` made of the password."""
        account = self.get_user(name)
        if account is None:
            self.db.add(UserInfo(username=name, password=hashed, is_authorized=True))
        else:
            account.password = hashed
        self.db.commit()
        self.successful_login(name)

    def can_try_to_login_again(self, name: str) -> bool:
        """Whether a lock-out has ended; NativeAuthenticator leaves out whole days and locks out again a day later."""
        attempts = self.login_attempts.get(name)
        if not attempts:
            return True
        passed: float = (datetime.now() - attempts["time"]).total_seconds()  # noqa: DTZ005 (as add_login_attempt has it)
        return bool(passed > self.seconds_before_next_try)

    def locked_until(self, name: str) -> datetime | None:
        """When a lock-out ends; None if there is none."""
        if not self.is_blocked(name):
            return None
        began: datetime = self.login_attempts[name]["time"].astimezone()
        return began + timedelta(seconds=self.seconds_before_next_try)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:  # noqa: ARG002 (JupyterHub's signature)
        """Whether name and password belong together; the name if so.

        The slow comparison runs beside the hub's event loop, and for names that have no account or are locked out as
        well, so that the time tells nothing. Lock-outs are looked at after it: guesses that came in at once all count.
        """
        name: str = self.normalize_username(data["username"])
        password = data["password"].encode()
        account = self.get_user(name)
        hashed = account.password if account else self._nobody
        right = await asyncio.to_thread(bcrypt.checkpw, password[:PASSWORD_BYTES_MAX], hashed)
        if account is None or self.is_blocked(name):
            return None
        if not right or len(password) > PASSWORD_BYTES_MAX or not account.is_authorized:
            self.add_login_attempt(name)
            return None
        self.successful_login(name)
        return name

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        """Pages to log out, for passwords, people and sign-up, the status page, sleep, and the operator's API.

        None of NativeAuthenticator's own: they need a JupyterHub before 6 (`statsd`), and change accounts by mere GET.
        """
        pages: list[tuple[Any, ...]] = [
            (r"/logout", EndSessionHandler),
            (r"/change-password", PasswordHandler),
            (r"/change-password/([^/]+)", PasswordOfHandler),
            (r"/people", PeopleHandler),
            (r"/api/berth/users", UsersHandler),
            *StatusPage(config=app.config).handlers(),
            *SLEEP_HANDLERS,
        ]
        if self.signup != "closed":
            pages.append((r"/signup", SignUpHandler))
        return pages
