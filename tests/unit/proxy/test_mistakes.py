"""What is refused before anything is changed, and how it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from certificates import DAY, Authority, key_pem, new_key, pem

from roles.proxy.lookup_plugins.proxy_mistakes import Decisions, mistakes

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

HOST = "hub.example.org"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


class Own:
    """Files of a site; each may be replaced by what is wrong."""

    def __init__(self, folder: Path, authority: Authority, *names: str, **validity: timedelta) -> None:
        self.key = new_key()
        self.certificate = authority.sign(self.key, *names, **validity)
        self.crt, self.pem_key = folder / "hub.crt", folder / "hub.key"
        self.crt.write_bytes(pem(self.certificate, authority.certificate))
        self.pem_key.touch(0o600)
        self.pem_key.write_bytes(key_pem(self.key))

    def mistakes(self, public_url: str = f"https://{HOST}", *, subdomains: bool = False) -> list[str]:
        decided = Decisions(
            tls="own",
            public_url=public_url,
            certificate_file=str(self.crt),
            key_file=str(self.pem_key),
            subdomains=subdomains,
        )
        return mistakes(decided)


@pytest.mark.parametrize(
    ("names", "url"),
    [
        ([HOST], f"https://{HOST}"),
        (["other.example.org", HOST], f"https://{HOST}:8443"),
        ([HOST.upper()], f"https://{HOST}"),
        (["*.example.org"], f"https://{HOST}"),
        (["192.0.2.7"], "https://192.0.2.7"),
        (["2001:db8::7"], "https://[2001:db8::7]:8443"),
    ],
)
def test_own_certificate_for_the_name_is_good(tmp_path: Path, authority: Authority, names: list[str], url: str) -> None:
    assert Own(tmp_path, authority, *names).mistakes(url) == []


@pytest.mark.parametrize(
    "names", [["www.example.org"], ["example.org"], ["*.org"], ["*.hub.example.org"], ["*.sub.example.org"]]
)
def test_certificate_for_another_name_is_refused(tmp_path: Path, authority: Authority, names: list[str]) -> None:
    own = Own(tmp_path, authority, *names)
    (said,) = own.mistakes()
    assert said == (
        f"proxy_certificate_file: {own.crt} is not for {HOST}, the name in proxy_public_url, but for {names[0]}"
    )


@pytest.mark.parametrize("wildcard", ["*.hub.example.org", "*.HUB.example.org"])
def test_certificate_for_the_names_of_users_is_good(tmp_path: Path, authority: Authority, wildcard: str) -> None:
    assert Own(tmp_path, authority, HOST, wildcard).mistakes(f"https://{HOST}:8443", subdomains=True) == []


@pytest.mark.parametrize("other", ["*.example.org", "alice.hub.example.org", "*.lab.hub.example.org"])
def test_certificate_without_the_names_of_users_is_refused(tmp_path: Path, authority: Authority, other: str) -> None:
    own = Own(tmp_path, authority, HOST, other)
    (said,) = own.mistakes(subdomains=True)
    assert said == (
        f"proxy_certificate_file: {own.crt} does not cover *.{HOST}, the names of users' servers, but {HOST}, {other}: "
        "get one that does, or leave jupyterhub_subdomains false"
    )
    assert own.mistakes() == []


def test_certificate_without_names_is_refused(tmp_path: Path, authority: Authority) -> None:
    (said,) = Own(tmp_path, authority).mistakes()
    assert "no name at all (browsers look at subjectAltName alone)" in said


def test_expired_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    (said,) = Own(tmp_path, authority, HOST, begins=-2 * DAY, ends=-DAY).mistakes()
    assert said.startswith("proxy_certificate_file: ")
    assert "has expired at 20" in said


def test_certificate_of_tomorrow_is_refused(tmp_path: Path, authority: Authority) -> None:
    (said,) = Own(tmp_path, authority, HOST, begins=DAY).mistakes()
    assert "is not valid before 20" in said


def test_expired_certificate_of_the_chain_is_refused(tmp_path: Path, authority: Authority) -> None:
    own = Own(tmp_path, authority, HOST)
    old = authority.sign(new_key(), "old", begins=-2 * DAY, ends=-DAY)
    own.crt.write_bytes(pem(own.certificate, old))
    (said,) = own.mistakes()
    assert "(certificate 2 of the chain) has expired" in said


def test_key_of_another_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    own = Own(tmp_path, authority, HOST)
    own.pem_key.write_bytes(key_pem(new_key()))
    assert own.mistakes() == [f"proxy_key_file: {own.pem_key} does not match the certificate in proxy_certificate_file"]


def test_chain_in_the_wrong_order_is_refused(tmp_path: Path, authority: Authority) -> None:
    own = Own(tmp_path, authority, HOST)
    first = authority.sign(new_key(), HOST)
    own.crt.write_bytes(pem(first, own.certificate))
    (said,) = own.mistakes()
    assert "the host's own comes first" in said


def test_key_with_a_passphrase_is_refused(tmp_path: Path, authority: Authority) -> None:
    own = Own(tmp_path, authority, HOST)
    own.pem_key.write_bytes(key_pem(own.key, b"secret"))
    (said,) = own.mistakes()
    assert said.startswith(f"proxy_key_file: {own.pem_key} is protected by a passphrase")


def test_key_that_everybody_reads_is_refused_unless_in_a_vault(tmp_path: Path, authority: Authority) -> None:
    own = Own(tmp_path, authority, HOST)
    own.pem_key.chmod(0o644)
    (said,) = own.mistakes()
    assert said.startswith(f"proxy_key_file: {own.pem_key} can be read by everybody")
    content = own.pem_key.read_bytes()
    own.pem_key.write_bytes(b"$ANSIBLE_VAULT;1.1;AES256\n00")
    decided = Decisions(tls="own", certificate_file=str(own.crt), key_file=str(own.pem_key))
    assert mistakes(decided, lambda path: content if path == own.pem_key else path.read_bytes()) == []


@pytest.mark.parametrize("which", ["crt", "pem_key"])
@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\x30\x82 no pem", "in PEM: it must contain -----BEGIN"), (b"", "is empty"), (None, "there is no file")],
)
def test_files_that_are_none_are_refused(
    tmp_path: Path, authority: Authority, which: str, content: bytes | None, says: str
) -> None:
    own = Own(tmp_path, authority, HOST)
    path: Path = getattr(own, which)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    (said,) = own.mistakes()
    assert said.startswith("proxy_certificate_file: " if which == "crt" else "proxy_key_file: ")
    assert says in said
    assert str(path) in said


@pytest.mark.parametrize("which", ["crt", "pem_key"])
def test_files_that_are_cut_off_are_refused(tmp_path: Path, authority: Authority, which: str) -> None:
    own = Own(tmp_path, authority, HOST)
    path: Path = getattr(own, which)
    whole = path.read_bytes()
    for kept in (len(whole) // 3, len(whole) - 40, len(whole) - 10):
        path.write_bytes(whole[:kept])
        (said,) = own.mistakes()
        assert str(path) in said


def test_own_needs_both_files() -> None:
    found = mistakes(Decisions(tls="own"))
    assert [line.split(":")[0] for line in found] == ["proxy_certificate_file", "proxy_key_file"]


def test_what_cannot_be_decrypted_is_refused_by_name(tmp_path: Path, authority: Authority) -> None:
    from ansible.errors import AnsibleParserError  # noqa: PLC0415 (slow to import, and needed here alone)

    own = Own(tmp_path, authority, HOST)

    def read(path: Path) -> bytes:
        if path == own.pem_key:
            raise AnsibleParserError("no vault secrets were found that could decrypt")
        return path.read_bytes()

    decided = Decisions(tls="own", certificate_file=str(own.crt), key_file=str(own.pem_key))
    (said,) = mistakes(decided, read)
    assert said.startswith(f"proxy_key_file: {own.pem_key} cannot be read: no vault secrets")


ACME = {"tls": "acme", "acme_email": "ops@example.org"}
PRIVATE = {**ACME, "acme_directory": "https://127.0.0.1:14000/dir"}


@pytest.mark.parametrize(
    ("decided", "says"),
    [
        ({"tls": "letsencrypt"}, 'proxy_tls: "letsencrypt" is none of internal, own, acme, off'),
        ({"public_url": "hub.example.org"}, "proxy_public_url: "),
        ({"public_url": "https://hub.example.org/jupyter"}, "that is jupyterhub_base_url"),
        ({"public_url": "https://hub.example.org:port"}, "proxy_public_url: "),
        ({"public_url": "http://hub.example.org"}, "must begin with https://"),
        ({"base_url": "/jupyter"}, 'jupyterhub_base_url: "/jupyter" is no base URL'),
        ({"base_url": "jupyter/"}, "jupyterhub_base_url: "),
        ({**ACME, "acme_email": ""}, 'proxy_acme_email: "" is no mail address'),
        ({**ACME, "acme_email": "ops"}, 'proxy_acme_email: "ops"'),
        ({**ACME, "acme_challenge": "dns"}, 'proxy_acme_challenge: "dns" is none of tls-alpn, http'),
        ({**ACME, "acme_directory": "http://ca.example.org/dir"}, "proxy_acme_directory: "),
        ({**ACME, "acme_directory": ""}, "proxy_acme_directory: "),
        ({**ACME, "public_url": "https://localhost"}, 'gives no certificate for "localhost"'),
        ({**ACME, "public_url": "https://192.0.2.7"}, 'gives no certificate for "192.0.2.7"'),
        (
            {**ACME, "acme_names": ["hub.local"]},
            'proxy_acme_names: Let\'s Encrypt gives no certificate for "hub.local"',
        ),
        ({**PRIVATE, "acme_staging": True}, "proxy_acme_staging: "),
        ({**ACME, "subdomains": True}, "jupyterhub_subdomains: needs a certificate for *.hub.example.org"),
        ({**PRIVATE, "subdomains": True}, "jupyterhub_subdomains: needs a certificate for *.hub.example.org"),
        ({**PRIVATE, "acme_ca": "/nowhere/ca.crt"}, "proxy_acme_ca: there is no file /nowhere/ca.crt"),
        ({**PRIVATE, "acme_ca": __file__}, f"proxy_acme_ca: {__file__} is not a certificate in PEM"),
        ({"tls": "off"}, "proxy_trusted_fronts: name the addresses"),
        ({"trusted_fronts": ["front.example.org"]}, 'proxy_trusted_fronts: "front.example.org" is no address'),
        ({"trusted_fronts": ["0.0.0.0/0"]}, 'proxy_trusted_fronts: "0.0.0.0/0" is everybody'),
        ({"trusted_fronts": ["::/0"]}, 'proxy_trusted_fronts: "::/0" is everybody'),
        ({"extra_config": "/nowhere"}, "proxy_extra_config: there is no folder /nowhere"),
    ],
)
def test_decision_is_refused_by_name(decided: dict[str, object], says: str) -> None:
    (said,) = mistakes(Decisions(**decided))  # type: ignore[arg-type]
    assert says in said


@pytest.mark.parametrize(
    "decided",
    [
        {},
        {"public_url": "https://hub.example.org:8443", "base_url": "/jupyter/"},
        ACME,
        {**ACME, "acme_challenge": "http", "acme_names": ["jupyter.example.org"]},
        {**ACME, "acme_staging": True, "acme_directory": "https://acme-staging-v02.api.letsencrypt.org/directory"},
        {**PRIVATE, "public_url": "https://hub.site.test"},
        {"tls": "off", "trusted_fronts": ["127.0.0.1", "192.0.2.0/28", "2001:db8::1"]},
        {"tls": "off", "public_url": "http://hub.example.org"},
        {"subdomains": True},
        {"tls": "off", "trusted_fronts": ["127.0.0.1"], "subdomains": True},
    ],
)
def test_decision_is_good(decided: dict[str, object]) -> None:
    assert mistakes(Decisions(**decided)) == []  # type: ignore[arg-type]


def extra(tmp_path: Path, name: str, content: str) -> list[str]:
    (tmp_path / name).write_text(content)
    return mistakes(Decisions(extra_config=str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("hello.yml", "http: {routers: {hello: {rule: Path(`/hello`), service: noop@internal}}}"),
        ("hello.toml", '[http.routers.hello]\nrule = "Path(`/hello`)"\nservice = "noop@internal"\n'),
        ("README.md", "what is here"),
        (".hello.yml.swp", "{"),
    ],
)
def test_extra_configuration_is_good(tmp_path: Path, name: str, content: str) -> None:
    assert extra(tmp_path, name, content) == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.yml", "http: {", "is not YAML: "),
        ("a.yml", "http: a: b", "is not YAML: "),
        ("a.toml", "[http", "is not TOML: "),
        ("a.yml", "", "must have http, tcp, udp or tls at its top"),
        ("a.yml", "- http", "must have http, tcp, udp or tls at its top"),
        ("a.yml", "entryPoints: {}", "must have http, tcp, udp or tls at its top"),
        ("a.conf", "http: {}", "must have a plain name that ends in .yml, .yaml or .toml"),
        ("a b.yml", "http: {}", "must have a plain name"),
        ("a.yml", "http: {middlewares: {headers: {}}}", "may not call anything middlewares.headers"),
    ],
)
def test_extra_configuration_is_refused_by_name(tmp_path: Path, name: str, content: str, says: str) -> None:
    (said,) = extra(tmp_path, name, content)
    assert said.startswith(f"proxy_extra_config: {tmp_path / name}: ")
    assert says in said


def test_folder_in_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (said,) = mistakes(Decisions(extra_config=str(tmp_path)))
    assert said.startswith(f"proxy_extra_config: {tmp_path / 'more'}: is a folder")
