"""The certificate that browsers are told to trust: its chain and its name."""

import socket
import ssl
from urllib.parse import urlsplit

import pytest

from .hub import Hub


def test_chain_and_name_are_right(hub: Hub) -> None:
    """A client that knows the hub's certificate authority gets through, under the hub's name and no other."""
    where = urlsplit(hub.url)
    assert where.scheme == "https"
    assert where.hostname is not None
    authority = hub.ca_certificate if hub.ca_certificate.exists() else None
    context = ssl.create_default_context(cafile=authority)
    address = (where.hostname, where.port or 443)

    with (
        socket.create_connection(address, timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=where.hostname) as connection,
    ):
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}

    with socket.create_connection(address, timeout=10) as raw, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(raw, server_hostname="somewhere-else.example")
