"""Names that lead to this machine for as long as a test wants, as DNS would say."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def names_lead_here(name: str) -> Iterator[None]:
    """Have a name, and all below it, lead to 127.0.0.1 in this process."""
    real = socket.getaddrinfo

    def here(host: Any, *arguments: Any, **more: Any) -> Any:
        return real("127.0.0.1" if str(host).endswith(name) else host, *arguments, **more)

    socket.getaddrinfo = here
    try:
        yield
    finally:
        socket.getaddrinfo = real
