"""When the certificate expires that the proxy really serves, whoever made it."""

from __future__ import annotations

import datetime as dt
import socket
import ssl

from cryptography import x509

TIMEOUT_SECONDS = 5


def expires(address: str, name: str) -> float:
    """When, in seconds since 1970.

    Args:
        address: Of the proxy, with a port.
        name: That people open.

    Raises:
        OSError: if there is no TLS at that address.
    """
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    # Only looked at, never trusted: an expired one has to be seen, too.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        encoded = secure.getpeercert(binary_form=True)
    if encoded is None:
        raise OSError(f"{address} has no certificate")
    certificate = x509.load_der_x509_certificate(encoded)
    # Debian 12's version only has the naive one.
    moment: dt.datetime = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after
    return moment.replace(tzinfo=dt.UTC).timestamp()
