"""Accounts of the hub itself: NativeAuthenticator, with accounts that only an admin makes."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import bcrypt
from jupyterhub.handlers.login import LogoutHandler
from jupyterhub.orm import new_token
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.handlers import ChangePasswordAdminHandler, ChangePasswordHandler
from nativeauthenticator.orm import UserInfo
from traitlets import Unicode

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
    """No sign-up and no approval; the first admin's password comes from a file that is made on the host."""

    admin_password_file = Unicode(config=True, help="Password of admins who have no account yet.")

    # Compared against for names that have no account, so that they take as long as those that have one.
    _nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the accounts of admins who have none."""
        super().__init__(*args, **kwargs)
        for name in self.admin_users:
            if self.get_user(name) is None:
                self.set_password(name, Path(self.admin_password_file).read_text().strip())

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

    def set_password(self, name: str, password: str) -> None:
        """Give an account a password, and make the account if there is none; its lock-out ends.

        Raises:
            ValueError: if the password is not allowed.
        """
        self.check_password(password)
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt())
        account = self.get_user(name)
        if account is None:
            self.db.add(UserInfo(username=name, password=hashed, is_authorized=True))
        else:
            account.password = hashed
        self.db.commit()
        self.successful_login(name)

    def is_password_strong(self, password: str) -> bool:
        """Whether an account may have that password: what the page to change it asks."""
        try:
            self.check_password(password)
        except ValueError:
            return False
        return True

    def can_try_to_login_again(self, name: str) -> bool:
        """Whether a lock-out has ended; NativeAuthenticator leaves out whole days and locks out again a day later."""
        attempts = self.login_attempts.get(name)
        if not attempts:
            return True
        passed: float = (datetime.now() - attempts["time"]).total_seconds()  # noqa: DTZ005 (as add_login_attempt has it)
        return bool(passed > self.seconds_before_next_try)

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

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:  # noqa: ARG002 (JupyterHub's signature)
        """Pages to log out and for a new password, and the operator's API.

        Not NativeAuthenticator's own page to log in, which needs a JupyterHub before 6 (`statsd`), and not those for
        sign-up and approval, which change accounts by mere GET.
        """
        return [
            (r"/logout", EndSessionHandler),
            (r"/change-password", ChangePasswordHandler),
            (r"/change-password/([^/]+)", ChangePasswordAdminHandler),
            (r"/api/berth/users", UsersHandler),
        ]
