"""How people prove who they are, and which of them may log in."""

from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from berth_hub.settings.values import Strict


def _url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    host = rest.split("/", maxsplit=1)[0].rsplit(":", maxsplit=1)[0]
    if not host or scheme not in ("http", "https") or any(character.isspace() for character in value):
        raise ValueError(f'"{value}" is no URL: use one like https://login.example.org')
    if scheme == "http" and host not in ("localhost", "127.0.0.1"):
        raise ValueError(f'"{value}" is not encrypted, and passwords and tokens go there: use https://')
    return value.rstrip("/")


def _network(value: str) -> str:
    ip_network(value, strict=False)
    return value


Url = Annotated[str, AfterValidator(_url)]
Network = Annotated[str, AfterValidator(_network)]
Name = Annotated[str, Field(min_length=1)]


class Native(Strict):
    """Accounts of the hub's own."""

    method: Literal["native"]


class SharedPassword(Strict):
    """One password for all users and another for admins."""

    method: Literal["shared-password"]


class Pam(Strict):
    """Accounts of the host."""

    method: Literal["pam"]


class Ldap(Strict):
    """Accounts of a directory: either their DN follows a template, or they are searched."""

    method: Literal["ldap"]
    server: Name
    port: int = Field(ge=0, le=65535)
    tls: Literal["starttls", "ldaps", "off"]
    bind_dn_templates: list[Name]
    search_base: str
    search_filter: str
    search_user: str
    user_attribute: Name

    @model_validator(mode="after")
    def _one_way_to_find_a_user(self) -> Self:
        if bool(self.bind_dn_templates) == bool(self.search_base):
            raise ValueError("set either jupyterhub_ldap_bind_dn_templates or jupyterhub_ldap_search_base")
        for template in self.bind_dn_templates:
            if "{username}" not in template:
                raise ValueError(f'jupyterhub_ldap_bind_dn_templates: "{template}" lacks {{username}}')
        return self


class _Client(Strict):
    """A client that is registered with a provider of OAuth 2; its secret is in a file."""

    client_id: Name


class Oidc(_Client):
    """Any provider of OpenID Connect; its addresses are asked of it."""

    method: Literal["oidc"]
    issuer: Url
    login_service: Name
    username_claim: Name
    groups_claim: Name
    scopes: list[Name] = Field(min_length=1)


class GitHub(_Client):
    """GitHub, or a GitHub Enterprise Server; groups are ORGANISATION or ORGANISATION:TEAM."""

    method: Literal["github"]
    url: Url


class GitLab(_Client):
    """GitLab, or a GitLab of one's own; groups are paths of groups."""

    method: Literal["gitlab"]
    url: Url


class Google(_Client):
    """Google; user names are e-mail addresses."""

    method: Literal["google"]
    url: Url | Literal[""]
    domains: list[Name]


class AzureAd(_Client):
    """Microsoft Entra ID; groups are their object ids, as in the claim `groups`."""

    method: Literal["azuread"]
    url: Url
    tenant: str = Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    username_claim: Name


class Lti13(Strict):
    """A learning platform that launches the hub; groups are names of LTI roles, like Instructor."""

    method: Literal["lti13"]
    issuer: Name
    client_ids: list[Name] = Field(min_length=1)
    authorize_url: Url
    jwks_url: Url
    username_claim: Name


Way = Native | SharedPassword | Pam | Ldap | Oidc | GitHub | GitLab | Google | AzureAd | Lti13


class Authentication(Strict):
    """The way, and who of those that it identifies may log in."""

    way: Annotated[Way, Field(discriminator="method")]
    allow_all: bool
    allowed_users: list[Name]
    allowed_groups: list[Name]
    admin_groups: list[Name]
    failures_per_address: int = Field(ge=1)
    failures_seconds: int = Field(ge=1)
    session_days: float = Field(gt=0, le=366)
    trusted_fronts: list[Network]
    proxies: dict[str, str]

    @property
    def everybody(self) -> bool:
        """Whether everybody is admitted who is identified: the hub's own accounts, or domains, are a list already."""
        listed = self.way.method == "native" or (isinstance(self.way, Google) and bool(self.way.domains))
        return self.allow_all or (listed and not self.allowed_users)

    @model_validator(mode="after")
    def _somebody_is_meant(self) -> Self:
        method = self.way.method
        domains = self.way.domains if isinstance(self.way, Google) else []
        if method != "native" and not (self.allow_all or self.allowed_users or self.allowed_groups or domains):
            more = ", jupyterhub_google_domains" if method == "google" else ", jupyterhub_allowed_groups"
            raise ValueError(
                f"jupyterhub_auth {method} needs to know who may log in: set jupyterhub_allowed_users{more}, "
                "or jupyterhub_allow_all to let in everybody whom it knows"
            )
        if method in ("native", "shared-password", "google") and (self.allowed_groups or self.admin_groups):
            raise ValueError(
                f"jupyterhub_auth {method} knows no groups: leave jupyterhub_allowed_groups and "
                "jupyterhub_admin_groups empty"
            )
        return self
