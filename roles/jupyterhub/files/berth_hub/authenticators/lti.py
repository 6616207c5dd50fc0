"""Launches from a learning platform, by the package ltiauthenticator."""

import asyncio
from typing import Any

from ltiauthenticator.lti13.auth import LTI13Authenticator
from ltiauthenticator.lti13.error import InvalidAudienceError, LoginError, ValidationError
from ltiauthenticator.lti13.handlers import LTI13CallbackHandler, LTI13LoginInitHandler
from tornado import web
from traitlets import Unicode

from berth_hub.authenticators.guarded import Foreign

ROLES = "https://purl.imsglobal.org/spec/lti/claim/roles"
OF_THE_COURSE = "http://purl.imsglobal.org/vocab/lis/v2/membership#"


class _Login(LTI13LoginInitHandler):
    def _set_oauth_cookie(self, key: str, value: str) -> None:
        # The answer is a form that the platform's page sends, which browsers let no other cookie go with.
        self._set_cookie(key, value, expires_days=1, httponly=True, encrypted=True, samesite="None", secure=True)

    def get_redirect_uri(self) -> str:
        uri: str = self.authenticator.callback_address
        return uri


class _Callback(LTI13CallbackHandler):
    async def post(self) -> None:
        """Log in whom the platform sends, if all of it is in order.

        Raises:
            HTTPError: 400, 401 or 403 if it is not.
        """
        try:
            # It asks the platform for its keys, and blocks.
            token = await asyncio.to_thread(self.decode_and_validate_launch_request)
            user = await self.login_user(token)
        except InvalidAudienceError as error:
            raise web.HTTPError(401, str(error)) from None
        except (ValidationError, LoginError) as error:
            raise web.HTTPError(400, str(error)) from None
        if user is None:
            raise web.HTTPError(403, "You may not log in here.")
        self.redirect(self.get_next_url(user))


class Lti13(Foreign, LTI13Authenticator):
    """One learning platform."""

    asks_password = False
    exact_names = True
    login_handler = _Login
    callback_handler = _Callback
    callback_address = Unicode(config=True, help="Where the platform sends people back to.")

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002
        """Whether somebody was launched in that role: Instructor, Learner and the like, of the course."""
        roles = (authentication.get("auth_state") or {}).get(ROLES, [])
        return f"{OF_THE_COURSE}{group}" in roles
