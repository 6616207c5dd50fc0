"""From the settings of authentication to the class that does it, and its traits."""

import hashlib
import hmac
import os
from typing import Any

from berth_hub import secrets
from berth_hub.authenticators import lti, oauth, password
from berth_hub.outgoing import CA_CERTIFICATES
from berth_hub.settings import Settings
from berth_hub.settings.authentication import AzureAd, GitHub, GitLab, Google, Ldap, Lti13, Oidc

CLASSES = {
    "native": password.Native,
    "shared-password": password.SharedPassword,
    "pam": password.Pam,
    "ldap": password.Ldap,
    "oidc": oauth.Oidc,
    "github": oauth.GitHub,
    "gitlab": oauth.GitLab,
    "google": oauth.Google,
    "azuread": oauth.AzureAd,
    "lti13": lti.Lti13,
}
"""Class by method."""


def configure(c: Any, settings: Settings) -> None:
    """Set the way to log in, who may, and how often somebody may guess.

    Args:
        c: the configuration object that `get_config()` returns.
        settings: what the site decided.
    """
    authentication = settings.authentication
    way = authentication.way
    c.JupyterHub.authenticator_class = CLASSES[way.method]
    c.JupyterHub.cookie_max_age_days = authentication.session_days
    # Guarded.check_allowed decides, and always.
    c.Authenticator.allow_all = False
    c.Authenticator.any_allow_config = True
    c.Guarded.settings = authentication
    c.Guarded.admission_file = str(settings.state_directory / "admission.json")
    c.Guarded.failures_per_name = settings.accounts.failed_logins_max
    c.Guarded.lockout_seconds = settings.accounts.lockout_seconds
    if way.method == "shared-password":
        _shared_password(c, settings)
    elif isinstance(way, Ldap):
        _ldap(c, settings, way)
    elif isinstance(way, Lti13):
        _lti13(c, settings, way)
    elif isinstance(way, Oidc | GitHub | GitLab | Google | AzureAd):
        _provider(c, settings, way)


def _secret(settings: Settings, name: str) -> str:
    return (settings.secrets_directory / name).read_text().strip()


def _shared_password(c: Any, settings: Settings) -> None:
    users, admins = (_secret(settings, name) for name in (secrets.SHARED_PASSWORD, secrets.SHARED_ADMIN_PASSWORD))
    c.SharedPasswordAuthenticator.user_password = users
    c.SharedPasswordAuthenticator.admin_password = admins
    key = bytes.fromhex(_secret(settings, secrets.COOKIE_SECRET))
    c.Guarded.seal = hmac.new(key, f"{users}\n{admins}".encode(), hashlib.sha256).hexdigest()


def _ldap(c: Any, settings: Settings, way: Ldap) -> None:
    ldap = c.LDAPAuthenticator
    ldap.server_address = way.server
    ldap.tls_strategy = {"starttls": "before_bind", "ldaps": "on_connect", "off": "insecure"}[way.tls]
    if way.port:
        ldap.server_port = way.port
    ldap.tls_kwargs = password.tls_kwargs(CA_CERTIFICATES)
    # The package quotes names where it uses them; what it refuses by default is capitals, digits in front and "@".
    ldap.valid_username_regex = r"^\w[\w.@+-]{0,254}$"
    # Asked with the user's own connection, while there is one.
    ldap.allowed_groups = sorted({*settings.authentication.allowed_groups, *settings.authentication.admin_groups})
    ldap.user_attribute = way.user_attribute
    if way.bind_dn_templates:
        ldap.bind_dn_template = way.bind_dn_templates
        return
    ldap.lookup_dn = True
    ldap.user_search_base = way.search_base
    ldap.lookup_dn_search_filter = way.search_filter
    if way.search_user:
        ldap.lookup_dn_search_user = way.search_user
        ldap.lookup_dn_search_password = _secret(settings, secrets.LDAP_SEARCH_PASSWORD)
    # The name that the directory has, and not the one that was typed: both may mean the same user.
    ldap.lookup_dn_user_dn_attribute = way.user_attribute
    ldap.use_lookup_dn_username = True


def _lti13(c: Any, settings: Settings, way: Lti13) -> None:
    lti13 = c.LTI13Authenticator
    lti13.issuer = way.issuer
    lti13.client_id = set(way.client_ids)
    lti13.authorize_url = way.authorize_url
    lti13.jwks_endpoint = way.jwks_url
    lti13.username_key = way.username_claim
    c.Lti13.callback_address = f"{settings.public_url}{settings.base_url}hub/lti13/oauth_callback"
    # The package asks for the platform's keys with urllib, which knows proxies from the environment only.
    os.environ.update(settings.authentication.proxies)


def _provider(c: Any, settings: Settings, way: Oidc | GitHub | GitLab | Google | AzureAd) -> None:
    c.OAuthenticator.client_id = way.client_id
    c.OAuthenticator.client_secret = _secret(settings, secrets.CLIENT_SECRET)
    c.OAuthenticator.oauth_callback_url = f"{settings.public_url}{settings.base_url}hub/oauth_callback"
    groups = settings.authentication.allowed_groups + settings.authentication.admin_groups
    if isinstance(way, Oidc):
        c.Oidc.issuer = way.issuer
        c.Oidc.groups_claim = way.groups_claim
        c.OAuthenticator.username_claim = way.username_claim
        c.OAuthenticator.login_service = way.login_service
        c.OAuthenticator.scope = way.scopes
    elif isinstance(way, GitHub):
        c.GitHubOAuthenticator.github_url = way.url
        # Memberships that are not public are told with this only.
        c.OAuthenticator.scope = ["read:org"] if groups else []
    elif isinstance(way, GitLab):
        c.GitLabOAuthenticator.gitlab_url = way.url
        c.OAuthenticator.scope = ["read_api"] if groups else ["read_user"]
    elif isinstance(way, Google):
        c.GoogleOAuthenticator.hosted_domain = way.domains
        # Whole addresses: one domain more must not give everybody another name, and with it another home.
        c.GoogleOAuthenticator.strip_domain = False
        if way.url:
            c.GoogleOAuthenticator.google_api_url = way.url
            c.OAuthenticator.authorize_url = f"{way.url}/o/oauth2/v2/auth"
    else:
        c.AzureAdOAuthenticator.tenant_id = way.tenant
        c.OAuthenticator.authorize_url = f"{way.url}/{way.tenant}/oauth2/v2.0/authorize"
        c.OAuthenticator.token_url = f"{way.url}/{way.tenant}/oauth2/v2.0/token"
        c.OAuthenticator.scope = ["openid", "profile", "email"]
        c.OAuthenticator.username_claim = way.username_claim
