"""Certificates for checks: a CA, and what it signs, with whatever is right or wrong about it."""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """A private key in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption(),
    )


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates in PEM, one after the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Authority:
    """A CA."""

    name: str = "A CA for checks"
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def __post_init__(self) -> None:
        """Sign itself."""
        self.certificate = self._sign(self.name, self.key, [], -DAY, 30 * DAY, is_ca=True)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        *names: str,
        begins: timedelta = -DAY,
        ends: timedelta = 30 * DAY,
    ) -> x509.Certificate:
        """A certificate for these names and addresses; `begins` and `ends` count from now."""
        return self._sign("a host", key, [_alternative(name) for name in names], begins, ends, is_ca=False)

    def _sign(
        self,
        subject: str,
        key: ec.EllipticCurvePrivateKey,
        names: list[x509.GeneralName],
        begins: timedelta,
        ends: timedelta,
        *,
        is_ca: bool,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def write_pair(folder: Path, authority: Authority, *names: str) -> tuple[Path, Path]:
    """A new certificate with its chain, and its key, as files of the controller."""
    folder.mkdir(parents=True, exist_ok=True)
    key = new_key()
    certificate_file, key_file = folder / "site.crt", folder / "site.key"
    certificate_file.write_bytes(pem(authority.sign(key, *names), authority.certificate))
    key_file.touch(0o600)
    key_file.write_bytes(key_pem(key))
    return certificate_file, key_file
