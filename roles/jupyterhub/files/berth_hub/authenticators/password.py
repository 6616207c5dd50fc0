"""Ways to log in where the hub asks for name and password."""

import asyncio
import grp
import json
import pwd
import ssl
from os import getgrouplist
from typing import Any

import ldap3
from jupyterhub.auth import Authenticator
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from ldap3.core.exceptions import LDAPBindError, LDAPException
from ldapauthenticator import LDAPAuthenticator
from ldapauthenticator.ldapauthenticator import TlsStrategy
from traitlets import Unicode

from berth_hub.auth import BerthAuthenticator
from berth_hub.authenticators.guarded import Foreign, Guarded, unavailable

LDAP_SECONDS = 10
"""How long a directory may take for one answer."""

PAM_SECONDS = 30
"""How long the host may take to check a password: it makes wrong ones wait for some seconds on purpose."""

PAM_AT_ONCE = 8
"""How many passwords the host checks at once; others wait in line. On more than `MaxConnections` systemd hangs up."""

PAM_QUESTION_BYTES_MAX = 8192
"""Longer questions are not read by the helper (`REQUEST_BYTES_MAX`): no name and password of the host need them."""


class Native(Guarded, BerthAuthenticator):
    """Accounts of the hub's own, which lock themselves."""

    locks_names = False


class SharedPassword(Foreign, SharedPasswordAuthenticator):
    """One password for all users, another for admins: anybody who knows the first can be any user."""

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> Any:
        """As the package, which breaks down on a password that is not ASCII; none that is right is."""
        if not data["password"].isascii():
            data = {**data, "password": ""}
        return await super().authenticate(handler, data, **kwargs)


class _HostAccounts(Authenticator):
    socket = Unicode("/run/berth-pam.sock", config=True, help="Where the helper that may ask PAM listens.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._turns = asyncio.Semaphore(PAM_AT_ONCE)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:  # noqa: ARG002 (JupyterHub's)
        name, password = data["username"], data["password"]
        question = json.dumps({"name": name, "password": password}).encode() + b"\n"
        if len(question) > PAM_QUESTION_BYTES_MAX:
            return None
        try:
            async with self._turns, asyncio.timeout(PAM_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                try:
                    writer.write(question)
                    await writer.drain()
                    answer = json.loads(await reader.readline() or b"{}")
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:
            self.log.error("The helper for PAM does not answer (journalctl -u 'berth-pam*'): %r", error)  # noqa: TRY400
            raise unavailable("What checks passwords on this host") from None
        if not isinstance(answer, dict) or "admitted" not in answer:
            raise unavailable("What checks passwords on this host")
        return name if answer["admitted"] is True else None


class Pam(Foreign, _HostAccounts):
    """Accounts of the host, checked by its PAM through a helper: the hub is not root and reads no password."""

    exact_names = True

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002
        """Whether the host says so, by whatever its name service asks."""
        return group in await asyncio.to_thread(_groups_of, username)


def _groups_of(name: str) -> set[str]:
    try:
        return {grp.getgrgid(gid).gr_name for gid in getgrouplist(name, pwd.getpwnam(name).pw_gid)}
    except KeyError:
        return set()


class _Directory(LDAPAuthenticator):
    async def authenticate(self, handler: Any, data: Any = None) -> Any:
        # The package blocks, so it has an event loop of its own beside the hub's.
        def ask() -> Any:
            return asyncio.run(super(_Directory, self).authenticate(handler, data))

        try:
            return await asyncio.to_thread(ask)
        except (LDAPException, OSError) as error:
            self.log.error("The directory %s: %s", self.server_address, error)  # noqa: TRY400 (the message tells)
            raise unavailable("The directory") from None

    def get_connection(self, userdn: str, password: str) -> Any:
        """A connection bound as that user; None if the password is wrong.

        Unlike the package's, it waits for a limited time, and does not follow referrals to other servers, which
        would be shown the password.
        """
        server = ldap3.Server(
            self.server_address,
            port=self.server_port,
            use_ssl=self.tls_strategy == TlsStrategy.on_connect,
            tls=ldap3.Tls(**self.tls_kwargs),
            connect_timeout=LDAP_SECONDS,
        )
        before_bind = self.tls_strategy == TlsStrategy.before_bind
        try:
            return ldap3.Connection(
                server,
                user=userdn,
                password=password,
                auto_bind=ldap3.AUTO_BIND_TLS_BEFORE_BIND if before_bind else ldap3.AUTO_BIND_NO_TLS,
                auto_referrals=False,
                receive_timeout=LDAP_SECONDS,
            )
        except LDAPBindError:
            return None


class Ldap(Foreign, _Directory):
    """Accounts of a directory; the connection is encrypted, and its certificate checked."""

    async def in_group(self, group: str, username: str, authentication: Any) -> bool:  # noqa: ARG002
        """Whether the directory said so when the user logged in."""
        return group in (authentication.get("auth_state") or {}).get("ldap_groups", ())


def tls_kwargs(ca: str) -> dict[str, Any]:
    """What ldap3 needs to be told so that it checks certificates at all."""
    return {"validate": ssl.CERT_REQUIRED, "ca_certs_file": ca}
