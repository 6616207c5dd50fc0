"""What is wrong with the decisions on HTTPS: a lookup that reads files on the controller before anything is changed."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DOCUMENTATION = """
name: proxy_mistakes
short_description: Tells what is wrong with the decisions on HTTPS
description: Returns one line for each mistake, with the variable and what is allowed; nothing if all is well.
options:
  _terms:
    description: The decisions, as C(__proxy_decisions) of role proxy collects them.
    required: true
"""

LETS_ENCRYPT = "api.letsencrypt.org"
TLS = ("internal", "own", "acme", "off")
CHALLENGES = ("tls-alpn", "http")
OWN_NAMES = {
    "routers": {"api", "home", "not-running"},
    "middlewares": {"api-password", "headers", "home", "not-running"},
}
"""What Berth itself calls by these names in Traefik's dynamic configuration."""


@dataclass(frozen=True)
class Decisions:
    """What the site decided; each field is the variable proxy_FIELD, but base_url and subdomains: jupyterhub_FIELD."""

    tls: str = "internal"
    public_url: str = "https://hub.example.org"
    base_url: str = "/"
    subdomains: bool = False
    certificate_file: str = ""
    key_file: str = ""
    acme_email: str = ""
    acme_directory: str = f"https://acme-v02.{LETS_ENCRYPT}/directory"
    acme_staging: bool = False
    acme_challenge: str = "tls-alpn"
    acme_names: list[str] = field(default_factory=list)
    acme_ca: str = ""
    trusted_fronts: list[str] = field(default_factory=list)
    extra_config: str = ""


def mistakes(
    decided: Decisions, read: Callable[[Path], bytes] = Path.read_bytes, now: datetime | None = None
) -> list[str]:
    """One line for each mistake; nothing if all is well.

    Args:
        decided: what the site decided.
        read: returns what is in a file, decrypted if it is in a vault.
        now: the time that certificates must be valid at.
    """
    found: list[str] = []
    if decided.tls not in TLS:
        found.append(f'proxy_tls: "{decided.tls}" is none of {", ".join(TLS)}')
    found += _address_mistakes(decided)
    if decided.subdomains:
        found += _subdomain_mistakes(decided)
    if decided.tls == "own":
        found += _own_mistakes(decided, read, now or datetime.now(UTC))
    if decided.tls == "acme":
        found += _acme_mistakes(decided)
    found += _front_mistakes(decided)
    if decided.extra_config:
        found += _extra_mistakes(Path(decided.extra_config).expanduser())
    return found


def _address_mistakes(decided: Decisions) -> Iterator[str]:
    address = _split(decided.public_url)
    plain = re.fullmatch(r"https?://[^/?#@\s]+", decided.public_url)
    if address is None or not plain or not address.hostname:
        yield (
            f'proxy_public_url: "{decided.public_url}" is no address of a hub: use https://NAME or https://NAME:PORT, '
            "without a path (that is jupyterhub_base_url)"
        )
    elif address.scheme == "http" and decided.tls != "off":
        yield f'proxy_public_url: "{decided.public_url}" must begin with https:// (plain HTTP is for proxy_tls "off")'
    if not re.fullmatch(r"/([A-Za-z0-9._~-]+/)*", decided.base_url):
        yield (
            f'jupyterhub_base_url: "{decided.base_url}" is no base URL: use a path that starts and ends with "/", '
            "like / or /jupyter/"
        )


def _subdomain_mistakes(decided: Decisions) -> Iterator[str]:
    if decided.tls == "acme":
        yield (
            f"jupyterhub_subdomains: needs a certificate for *.{_hostname(decided)}, which an ACME server gives only "
            'to who can change DNS, and Berth cannot (proxy_tls is "acme"): use "own" with such a one, or "internal"'
        )


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _own_mistakes(decided: Decisions, read: Callable[[Path], bytes], now: datetime) -> Iterator[str]:
    contents: dict[str, bytes] = {}
    for variable, name in (("proxy_certificate_file", decided.certificate_file), ("proxy_key_file", decided.key_file)):
        problem, content = _content(name, read)
        if problem:
            yield f'{variable}: {problem} (proxy_tls is "own")'
        contents[variable] = content
    if not all(contents.values()):
        return
    where = f"proxy_certificate_file: {decided.certificate_file}"
    try:
        chain = x509.load_pem_x509_certificates(contents["proxy_certificate_file"])
    except ValueError:
        yield f"{where} is not a certificate in PEM: it must contain -----BEGIN CERTIFICATE-----"
        chain = []
    begun = contents["proxy_certificate_file"].count(b"-----BEGIN CERTIFICATE-----")
    # The library passes over one that has no end.
    if chain and begun > len(chain):
        yield f"{where} is cut off: of {begun} certificates that begin in it {len(chain)} are whole"
    if chain:
        yield from (f"{where} {problem}" for problem in _certificate_mistakes(chain, decided, now))
    problem = _key_mistake(contents["proxy_key_file"], chain)
    if problem:
        yield f"proxy_key_file: {decided.key_file} {problem}"
    elif _anybody_reads(Path(decided.key_file).expanduser()):
        yield f"proxy_key_file: {decided.key_file} can be read by everybody: chmod 600, or use ansible-vault"


def _content(name: str, read: Callable[[Path], bytes]) -> tuple[str, bytes]:
    """What is wrong with the file itself, and what is in it."""
    if not name:
        return "is needed: name a file of this controller, in PEM", b""
    path = Path(name).expanduser()
    if not path.is_file():
        return f"there is no file {name} on this controller", b""
    try:
        content = read(path)
    except (OSError, AnsibleError) as error:
        return f"{name} cannot be read: {error}", b""
    return ("", content) if content.strip() else (f"{name} is empty", b"")


def _hostname(decided: Decisions) -> str:
    address = _split(decided.public_url)
    return (address.hostname if address else None) or ""


def _certificate_mistakes(chain: list[x509.Certificate], decided: Decisions, now: datetime) -> Iterator[str]:
    for number, certificate in enumerate(chain, 1):
        which = "" if number == 1 else f"(certificate {number} of the chain) "
        if certificate.not_valid_after_utc < now:
            yield f"{which}has expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        if certificate.not_valid_before_utc > now:
            yield f"{which}is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    host, names = _hostname(decided), _names(chain[0])
    if host and not any(_covers(name, host) for name in names):
        yield (
            f"is not for {host}, the name in proxy_public_url, but for "
            f"{', '.join(names) or 'no name at all (browsers look at subjectAltName alone)'}"
        )
    wildcard = f"*.{host}"
    if decided.subdomains and wildcard not in map(str.lower, names):
        yield (
            f"does not cover {wildcard}, the names of users' servers, but {', '.join(names) or 'no name at all'}: "
            "get one that does, or leave jupyterhub_subdomains false"
        )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [
        *alternatives.get_values_for_type(x509.DNSName),
        *map(str, alternatives.get_values_for_type(x509.IPAddress)),
    ]


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is that of a host; a wildcard stands for one label."""
    name, host = name.lower(), host.lower()
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:] and not _is_address(host)
    return name == host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _key_mistake(content: bytes, chain: list[x509.Certificate]) -> str:
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        return "is protected by a passphrase, which the proxy cannot be asked for: use one without, in ansible-vault"
    except ValueError:
        return "is not a private key in PEM: it must contain -----BEGIN PRIVATE KEY----- or the like"
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    keys = [
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for certificate in chain
    ]
    if not keys or keys[0] == public:
        return ""
    if public in keys:
        return "belongs to a later certificate in proxy_certificate_file: the host's own comes first, then the chain"
    return "does not match the certificate in proxy_certificate_file"


def _anybody_reads(path: Path) -> bool:
    """Whether everybody may read a file that is not encrypted."""
    with path.open("rb") as file:
        in_vault = file.read(14) == b"$ANSIBLE_VAULT"
    return not in_vault and bool(path.stat().st_mode & 0o004)


def _acme_mistakes(decided: Decisions) -> Iterator[str]:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", decided.acme_email):
        yield (
            f'proxy_acme_email: "{decided.acme_email}" is no mail address of yours for the ACME server '
            '(proxy_tls is "acme")'
        )
    if decided.acme_challenge not in CHALLENGES:
        yield f'proxy_acme_challenge: "{decided.acme_challenge}" is none of {", ".join(CHALLENGES)}'
    yield from _directory_mistakes(decided)
    if decided.acme_ca:
        problem, content = _content(decided.acme_ca, Path.read_bytes)
        if not problem and b"-----BEGIN CERTIFICATE-----" not in content:
            problem = f"{decided.acme_ca} is not a certificate in PEM"
        if problem:
            yield f"proxy_acme_ca: {problem}"


def _directory_mistakes(decided: Decisions) -> Iterator[str]:
    directory = _split(decided.acme_directory)
    if directory is None or directory.scheme != "https" or not directory.hostname:
        yield f'proxy_acme_directory: "{decided.acme_directory}" is no ACME server: it must begin with https://'
    elif directory.hostname.endswith(LETS_ENCRYPT):
        wanted = [
            ("proxy_public_url", _hostname(decided)),
            *(("proxy_acme_names", name) for name in decided.acme_names),
        ]
        for variable, name in wanted:
            if "." not in name or _is_address(name) or name.endswith((".local", ".test", ".internal", ".localhost")):
                yield (
                    f'{variable}: Let\'s Encrypt gives no certificate for "{name}": it needs a name that is public in '
                    'DNS; use proxy_tls "internal" or "own", or proxy_acme_directory of a server of your own'
                )
    elif decided.acme_staging:
        yield "proxy_acme_staging: is for Let's Encrypt, and proxy_acme_directory names another server: set one of them"


def _front_mistakes(decided: Decisions) -> Iterator[str]:
    for front in decided.trusted_fronts:
        try:
            network = ipaddress.ip_network(front, strict=False)
        except ValueError:
            yield f'proxy_trusted_fronts: "{front}" is no address: use one like 192.0.2.7 or 192.0.2.0/28'
            continue
        if network.prefixlen == 0:
            yield f'proxy_trusted_fronts: "{front}" is everybody: anyone could pretend to come from elsewhere'
    if decided.tls == "off" and decided.public_url.startswith("https:") and not decided.trusted_fronts:
        yield (
            'proxy_trusted_fronts: name the addresses that your own front connects from, like ["127.0.0.1"] if it runs '
            'on this host (proxy_tls is "off"): nobody else is believed who tells where a request came from'
        )


def _extra_mistakes(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"proxy_extra_config: there is no folder {folder} on this controller"
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower().startswith("readme"):
            continue
        problem = _extra_mistake(path)
        if problem:
            yield f"proxy_extra_config: {path}: {problem}"


def _extra_mistake(path: Path) -> str:
    if path.is_dir():
        return "is a folder, and Traefik does not look into folders of folders"
    if not re.fullmatch(r"[A-Za-z0-9._-]+\.(ya?ml|toml)", path.name):
        return "must have a plain name that ends in .yml, .yaml or .toml"
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        return f"is not {'TOML' if path.suffix == '.toml' else 'YAML'}: {' '.join(str(error).split())}"
    if not isinstance(content, dict) or not content or not set(content) <= {"http", "tcp", "udp", "tls"}:
        return "must have http, tcp, udp or tls at its top, and nothing else"
    taken = _taken(content.get("http"))
    return f"may not call anything {', '.join(taken)}: that is Berth's own" if taken else ""


def _taken(http: Any) -> list[str]:
    if not isinstance(http, dict):
        return []
    return [
        f"{kind}.{name}"
        for kind, names in OWN_NAMES.items()
        if isinstance(http.get(kind), dict)
        for name in sorted(names & set(http[kind]))
    ]


class LookupModule(LookupBase):
    """Ansible's face of `mistakes`."""

    def run(self, terms: Iterable[Any], variables: Any = None, **_options: Any) -> list[str]:  # noqa: ARG002 (Ansible's signature)
        """Args: terms: one dictionary for `Decisions`."""
        (decided,) = terms
        return mistakes(Decisions(**decided), self._decrypted)

    def _decrypted(self, path: Path) -> bytes:
        real = self._loader.get_real_file(str(path.resolve()))
        try:
            return Path(real).read_bytes()
        finally:
            self._loader.cleanup_tmp_file(real)
