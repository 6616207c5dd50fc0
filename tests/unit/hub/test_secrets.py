"""Secrets are made once, readable by those who need them and by nobody else."""

from __future__ import annotations

import base64
import grp
import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

import pytest
from berth_hub import secrets
from berth_hub.secrets import make_missing, readable_password

if TYPE_CHECKING:
    from pathlib import Path

ALL = ["cookie_secret", "admin_password", "operator_token", "metrics_token", "traefik_password", "traefik_users"]
GROUP = grp.getgrgid(os.getgid()).gr_name

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to root")


def contents(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_all_are_made(tmp_path: Path) -> None:
    assert make_missing(tmp_path, GROUP, GROUP) == ALL
    found = contents(tmp_path)
    assert sorted(found) == sorted(ALL)
    for name in ("cookie_secret", "operator_token", "traefik_password"):
        assert re.fullmatch(r"[0-9a-f]{64}\n", found[name])
    assert len(set(found.values())) == len(ALL)


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    make_missing(tmp_path, GROUP, GROUP)
    before = contents(tmp_path)
    assert make_missing(tmp_path, GROUP, GROUP) == []
    assert contents(tmp_path) == before


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    make_missing(tmp_path, GROUP, GROUP)
    before = contents(tmp_path)
    (tmp_path / "operator_token").unlink()
    assert make_missing(tmp_path, GROUP, GROUP) == ["operator_token"]
    after = contents(tmp_path)
    assert after.pop("operator_token") != before.pop("operator_token")
    assert after == before


def test_each_is_for_its_group_and_never_for_all(tmp_path: Path) -> None:
    hub, proxy = (entry.gr_name for entry in sorted(grp.getgrall(), key=lambda entry: entry.gr_gid)[1:3])
    make_missing(tmp_path, hub, proxy)
    for path in tmp_path.iterdir():
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == 0o640
        assert found.st_uid == 0
        assert path.group() == (proxy if path.name == "traefik_users" else hub)


def test_what_an_interrupted_run_left_is_not_taken_for_a_secret(tmp_path: Path) -> None:
    (tmp_path / ".cookie_secret.new").write_text("half")
    make_missing(tmp_path, GROUP, GROUP)
    assert sorted(contents(tmp_path)) == sorted(ALL)
    assert len((tmp_path / "cookie_secret").read_text()) == 65


def test_traefik_checks_the_password_that_the_hub_sends(tmp_path: Path) -> None:
    make_missing(tmp_path, GROUP, GROUP)
    user, form = (tmp_path / "traefik_users").read_text().strip().split(":")
    digest = hashlib.sha1((tmp_path / "traefik_password").read_text().strip().encode(), usedforsecurity=False).digest()
    assert (user, form) == (secrets.TRAEFIK_USER, "{SHA}" + base64.b64encode(digest).decode())


def test_a_new_password_for_traefik_is_also_the_one_it_checks(tmp_path: Path) -> None:
    make_missing(tmp_path, GROUP, GROUP)
    (tmp_path / "traefik_password").unlink()
    assert make_missing(tmp_path, GROUP, GROUP) == ["traefik_password", "traefik_users"]
    test_traefik_checks_the_password_that_the_hub_sends(tmp_path)


def test_the_first_password_can_be_typed() -> None:
    made = {readable_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){3}", password) for password in made)
    assert not set("".join(made)) & set("01ilo")
