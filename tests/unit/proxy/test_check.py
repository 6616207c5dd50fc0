"""A real Traefik's word on files of dynamic configuration."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[3] / "roles/proxy/files/berth_proxy_check.py"


def check(path: Path, content: str) -> subprocess.CompletedProcess[str]:
    path.write_text(content)
    traefik = str(Path(sys.executable).with_name("traefik"))
    return subprocess.run(
        [sys.executable, "-I", str(CHECK), str(path)],
        env={**os.environ, "TRAEFIK": traefik},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "good.yaml",
            "http: {routers: {hello: {rule: Path(`/hello`), service: noop@internal, entryPoints: [public]}}}",
        ),
        # Of Berth's own, and of another file.
        ("good.yaml", "http: {routers: {a: {rule: Path(`/a`), service: other, middlewares: [headers, mine]}}}"),
        ("good.toml", "[http.middlewares.zip.compress]\nminResponseBodyBytes = 100\n"),
    ],
)
def test_good_file_is_taken(tmp_path: Path, name: str, content: str) -> None:
    done = check(tmp_path / name, content)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("bad.yaml", "http: {routerz: {}}", "routerz"),
        ("bad.yaml", "http: {routers: {a: {rulez: Path(`/a`)}}}", "rulez"),
        ("bad.yaml", "http: {", "yaml"),
        ("bad.toml", "[http", "toml"),
        ("bad.yaml", "http: {routers: {a: {rule: Pathh(`/a`), service: noop@internal}}}", "Pathh"),
        ("bad.yaml", "tls: {certificates: [{certFile: /nowhere.crt, keyFile: /nowhere.key}]}", "certificate"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    done = check(tmp_path / name, content)
    assert done.returncode == 1
    assert says in done.stderr
