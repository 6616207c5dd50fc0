"""What `berth up` says of a hub at its end."""

from __future__ import annotations

import pytest
from rich.console import Console

from berth_cli.host import _summary

REPORT = {"url": "https://berth.example", "admin": "anna"}


@pytest.mark.parametrize("more", [{}, {"password_command": "cat [it]"}, {"ca_certificate": "/etc/ca.crt"}])
def test_it_says_what_the_hub_has(capsys: pytest.CaptureFixture[str], more: dict[str, str]) -> None:
    Console(width=80).print(_summary(REPORT | more))
    said = capsys.readouterr().out
    assert "https://berth.example" in said
    assert "anna" in said
    assert ("shown by: cat [it]" in said) == ("password_command" in more)
    assert ("/etc/ca.crt" in said) == ("ca_certificate" in more)
