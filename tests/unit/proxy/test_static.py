"""A real Traefik takes the static configuration, whichever way to HTTPS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
import pytest

TEMPLATE = Path(__file__).parents[3] / "roles/proxy/templates/traefik.yml.j2"


def rendered(folder: Path, tls: str, **more: Any) -> str:
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)  # noqa: S701 (YAML, not HTML)
    environment.filters |= {
        "comment": lambda text: f"# {text}",
        "to_json": json.dumps,
        "urlsplit": lambda url, part: getattr(urlsplit(url), part),
    }
    entry_tls = {"certResolver": "berth", "domains": [{"main": "hub.example.org", "sans": []}]} if tls == "acme" else {}
    values = {
        "ansible_managed": "managed",
        "proxy_tls": tls,
        "proxy_public_url": "https://hub.example.org",
        "proxy_https_port": 0,
        "proxy_http_port": 0,
        "proxy_api_port": 0,
        "proxy_trusted_fronts": ["127.0.0.1"],
        "__proxy_entry_tls": entry_tls,
        "__proxy_acme": {
            "email": "ops@example.org",
            "caServer": "https://127.0.0.1:1/dir",
            "storage": str(folder / "acme.json"),
            "keyType": "EC256",
            "certificatesDuration": 2160,
            "tlsChallenge": {},
        },
        "__proxy_routes": str(folder),
    }
    return environment.from_string(TEMPLATE.read_text()).render(**values, **more)


def end_of(folder: Path, text: str) -> str:
    """What Traefik says when it ends at once; "" if it runs."""
    path = folder / "traefik.yml"
    path.write_text(text)
    traefik = str(Path(sys.executable).with_name("traefik"))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([traefik, f"--configfile={path}"], stdout=log, stderr=log, cwd=folder)
        try:
            for _ in range(600):
                if process.poll() is not None:
                    return (folder / "log").read_text()
                if "Starting provider" in (folder / "log").read_text():
                    return ""
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
            process.wait()
    raise AssertionError(f"neither ended nor started: {(folder / 'log').read_text()}")


@pytest.mark.parametrize("tls", ["internal", "own", "acme", "off"])
def test_traefik_takes_it(tmp_path: Path, tls: str) -> None:
    assert end_of(tmp_path, rendered(tmp_path, tls)) == ""


def test_traefik_would_not_take_a_mistake(tmp_path: Path) -> None:
    assert "readTimeoutz" in end_of(tmp_path, rendered(tmp_path, "own").replace("readTimeout", "readTimeoutz"))
