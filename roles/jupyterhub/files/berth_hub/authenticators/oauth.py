"""Ways to log in at a provider of OAuth 2, each by its class of the package oauthenticator."""

import json
import secrets
import time
from typing import Any
from urllib.parse import quote

from oauthenticator.azuread import AzureAdOAuthenticator
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.github import GitHubOAuthenticator
from oauthenticator.gitlab import GitLabOAuthenticator
from oauthenticator.google import GoogleOAuthenticator
from oauthenticator.oauth2 import OAuthenticator, OAuthLoginHandler
from tornado import web
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from traitlets import Unicode, default

from berth_hub.authenticators.guarded import Foreign, unavailable
from berth_hub.outgoing import CA_CERTIFICATES, Outgoing

DISCOVERED_SECONDS = 3600
"""For how long the addresses that a provider told of are used without asking again."""


class Provider(Foreign, OAuthenticator):
    """What all of them share: requests through the site's proxies, and clear answers when the provider refuses."""

    asks_password = False
    ca = Unicode(CA_CERTIFICATES, config=True, help="File of the CAs that the provider's certificate is checked by.")

    @default("http_client")
    def _http_client(self) -> Outgoing:
        return Outgoing(force_instance=True, proxies=self.allowed.proxies, ca=self.ca)

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> Any:
        """Who the provider says that it is.

        Raises:
            HTTPError: 403 if the provider refuses, 503 if it does not answer.
        """
        try:
            return await super().authenticate(handler, data, **kwargs)
        except HTTPClientError as error:
            if 400 <= error.code < 500:
                raise web.HTTPError(403, f"{self.login_service} refused this log-in: start again.") from None
            raise unavailable(self.login_service) from None
        except OSError as error:
            self.log.error("%s does not answer: %r", self.login_service, error)  # noqa: TRY400 (the message tells)
            raise unavailable(self.login_service) from None
        except (ValueError, KeyError, TypeError) as error:
            self.log.warning("%s tells too little of a user: %r", self.login_service, error)
            raise web.HTTPError(
                403, f"{self.login_service} does not tell the hub who you are: ask the hub's administrators."
            ) from None

    def told(self, authentication: Any) -> dict[str, Any]:
        """What the provider told of a user."""
        user: dict[str, Any] = authentication["auth_state"][self.user_auth_state_key]
        return user

    async def asked(self, url: str, authentication: Any) -> HTTPResponse:
        """What the provider answers to the user's own token.

        Raises:
            HTTPError: 503, if it does not.
        """
        token = authentication["auth_state"]["token_response"]
        headers = self.build_userdata_request_headers(token["access_token"], token["token_type"])
        try:
            answer: HTTPResponse = await self.httpfetch(url, parse_json=False, raise_error=False, headers=headers)
        except OSError as error:
            self.log.error("%s does not answer: %r", url, error)  # noqa: TRY400 (the message tells)
            raise unavailable(self.login_service) from None
        if answer.code >= 500:
            raise unavailable(self.login_service)
        return answer


class _DiscoveringLogin(OAuthLoginHandler):
    async def get(self) -> None:
        """Send the browser to the provider, wherever that says it wants it."""
        await self.authenticator.discover()
        super().get()

    def authorize_redirect(self, **kwargs: Any) -> None:
        """Add what some providers insist on. The hub uses no ID token, and PKCE ties the code to this browser."""
        kwargs["extra_params"]["nonce"] = secrets.token_urlsafe(16)
        super().authorize_redirect(**kwargs)


class Oidc(Provider, GenericOAuthenticator):
    """Any provider of OpenID Connect. It tells its own addresses, once somebody logs in: the hub starts without it."""

    login_handler = _DiscoveringLogin
    exact_names = True
    issuer = Unicode(config=True, help="The provider's own name of itself, which is an address.")
    groups_claim = Unicode("groups", config=True, help="Where a user's groups are.")

    _discovered_at = 0.0

    async def discover(self) -> None:
        """Ask the provider for its addresses, now and then.

        Raises:
            HTTPError: 503, if it does not answer, or as somebody else.
        """
        if self._discovered_at and time.monotonic() - self._discovered_at < DISCOVERED_SECONDS:
            return
        address = f"{self.issuer}/.well-known/openid-configuration"
        try:
            answer = await self.http_client.fetch(HTTPRequest(address, connect_timeout=10, request_timeout=20))
            found = json.loads(answer.body)
            if found["issuer"].rstrip("/") != self.issuer:
                raise ValueError(f"it is {found['issuer']}, and not {self.issuer}")
            self.authorize_url = found["authorization_endpoint"]
            self.token_url = found["token_endpoint"]
            self.userdata_url = found["userinfo_endpoint"]
        except (HTTPClientError, OSError, ValueError, KeyError, TypeError) as error:
            self.log.error("%s does not tell its addresses: %r", address, error)  # noqa: TRY400 (the message tells)
            raise unavailable(self.login_service) from None
        self._discovered_at = time.monotonic()

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> Any:
        """Ask for the addresses first: the hub may have restarted since the browser left for the provider."""
        await self.discover()
        return await super().authenticate(handler, data, **kwargs)

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Name of the user; an e-mail address only if the provider has verified it.

        Raises:
            ValueError: if there is none.
        """
        if self.username_claim == "email" and user_info.get("email_verified") is not True:
            raise ValueError("the e-mail address is not verified")
        name = super().user_info_to_username(user_info)
        if not isinstance(name, str):
            raise TypeError(f"{self.username_claim} is not text")
        return name

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002
        """Whether the claim says so."""
        return group in _texts(self.told(authentication).get(self.groups_claim))


class GitHub(Provider, GitHubOAuthenticator):
    """GitHub; groups are organisations and teams of them."""

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002
        """Whether GitHub says so."""
        organisation, _, team = group.partition(":")
        # Not the user's name in the hub, which is in lower case.
        login = quote(self.told(authentication)["login"], safe="")
        place = f"orgs/{quote(organisation, safe='')}"
        if team:
            place += f"/teams/{quote(team, safe='')}/memberships/{login}"
            answer = await self.asked(f"{self.github_api}/{place}", authentication)
            # Somebody who was only invited is a member, too, to all but the field `state`.
            return bool(answer.code == 200 and json.loads(answer.body).get("state") == "active")
        return (await self.asked(f"{self.github_api}/{place}/members/{login}", authentication)).code == 204


class GitLab(Provider, GitLabOAuthenticator):
    """GitLab; groups are paths of groups, whose members by inheritance count."""

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002
        """Whether GitLab says so."""
        number = int(self.told(authentication)["id"])
        # The package quotes the path twice, so that groups within groups are never found.
        url = f"{self.gitlab_api}/groups/{quote(group, safe='')}/members/all/{number}"
        return (await self.asked(url, authentication)).code == 200

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Name of the user.

        Raises:
            ValueError: for one who is blocked, or has not confirmed the e-mail address.
        """
        if user_info.get("state") != "active":
            raise ValueError(f"the account is {user_info.get('state')}")
        name: str = super().user_info_to_username(user_info)
        return name


class Google(Provider, GoogleOAuthenticator):
    """Google; whole domains of Workspace, or e-mail addresses."""

    async def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Whether somebody may log in: only with a verified address, and by domain if domains are named."""
        told = self.told(authentication)
        if told.get("verified_email") is not True:
            return False
        # `check_blocked_users` of the package has refused all other domains already. Not its `check_allowed`, which
        # knows other lists.
        return await Foreign.check_allowed(self, username, authentication)


class AzureAd(Provider, AzureAdOAuthenticator):
    """Microsoft Entra ID, of one tenant."""

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """What the token says of the user, which comes from Microsoft directly.

        Raises:
            ValueError: if it is of another tenant or for another client.
        """
        user: dict[str, Any] = await super().token_to_user(token_info)
        if user.get("tid") != self.tenant_id or user.get("aud") != self.client_id:
            raise ValueError(f"the token is of tenant {user.get('tid')} for {user.get('aud')}")
        return user

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002
        """Whether the token says so."""
        return group in _texts(self.told(authentication).get("groups"))


def _texts(claim: object) -> list[str]:
    if isinstance(claim, str):
        return [claim]
    return [entry for entry in claim if isinstance(entry, str)] if isinstance(claim, list) else []
