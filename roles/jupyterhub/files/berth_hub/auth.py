"""Accounts of the hub itself: NativeAuthenticator, with accounts that only an admin makes."""

import asyncio
from pathlib import Path
from typing import Any

import bcrypt
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.orm import UserInfo
from traitlets import Unicode

from berth_hub.users import UsersHandler

PASSWORD_BYTES_MAX = 72
"""What bcrypt looks at."""


class BerthAuthenticator(NativeAuthenticator):
    """No sign-up; the first admin's password comes from a file that is made on the host."""

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

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """Whether name and password belong together; the name if so."""
        name = self.normalize_username(data["username"])
        if self.get_user(name) is None:
            password = data["password"].encode()[:PASSWORD_BYTES_MAX]
            await asyncio.to_thread(bcrypt.checkpw, password, self._nobody)
            return None
        if len(data["password"].encode()) > PASSWORD_BYTES_MAX:
            self.add_login_attempt(name)
            return None
        result: str | None = await super().authenticate(handler, data)
        return result

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:
        """Pages of the account, and the operator's API beside them."""
        return [*super().get_handlers(app), (r"/api/berth/users", UsersHandler)]
