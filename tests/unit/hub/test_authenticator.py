"""What the login page cannot show: that no answer comes sooner for a name nobody has, and when a lock-out ends."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest
from berth_hub.auth import BerthAuthenticator
from berth_hub.secrets import readable_password
from jupyterhub import orm
from nativeauthenticator.orm import UserInfo

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "a password good enough"


@pytest.fixture
def authenticator(tmp_path: Path) -> BerthAuthenticator:
    database = orm.new_session_factory(f"sqlite:///{tmp_path / 'hub.sqlite'}")()
    made = BerthAuthenticator(
        db=database, allowed_failed_logins=3, seconds_before_next_try=600, minimum_password_length=8
    )
    made.set_password("alice", GOOD)
    return made


def log_in(authenticator: BerthAuthenticator, name: str, password: str) -> str | None:
    return asyncio.run(authenticator.authenticate(None, {"username": name, "password": password}))


@pytest.mark.parametrize(
    ("name", "password", "failures"),
    [
        ("alice", GOOD, 0),
        ("alice", "wrong", 0),
        ("alice", "x" * 100, 0),
        ("alice", GOOD, 3),
        ("nobody", "wrong", 0),
        ("", "", 0),
    ],
)
def test_every_answer_takes_one_comparison(
    authenticator: BerthAuthenticator, name: str, password: str, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(failures):
        authenticator.add_login_attempt("alice")
    compared: list[bytes] = []
    real = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        compared.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    log_in(authenticator, name, password)
    assert len(compared) == 1
    # The cost is the second part of a hash: the same for those who have an account and for those who have none.
    assert compared[0].split(b"$")[:3] == authenticator.get_user("alice").password.split(b"$")[:3]


@pytest.mark.parametrize(
    ("ago", "admitted"),
    [
        (timedelta(seconds=1), False),
        (timedelta(seconds=540), False),
        (timedelta(seconds=601), True),
        (timedelta(days=1, seconds=60), True),
        (timedelta(days=30, seconds=1), True),
    ],
)
def test_a_lock_out_ends_and_does_not_come_back_at_the_same_time_of_day(
    authenticator: BerthAuthenticator, ago: timedelta, admitted: Any
) -> None:
    for _ in range(3):
        assert log_in(authenticator, "alice", "wrong") is None
    authenticator.login_attempts["alice"]["time"] = datetime.now() - ago  # noqa: DTZ005 (as NativeAuthenticator keeps it)
    assert log_in(authenticator, "alice", GOOD) == ("alice" if admitted else None)


def test_guesses_at_once_all_count(authenticator: BerthAuthenticator) -> None:
    """Ten comparisons are under way before the first has failed: no more than three results may be looked at."""

    async def scenario() -> list[str | None]:
        guesses = ({"username": "alice", "password": f"wrong {n}"} for n in range(10))
        return await asyncio.gather(*(authenticator.authenticate(None, guess) for guess in guesses))

    assert asyncio.run(scenario()) == [None] * 10
    assert authenticator.login_attempts["alice"]["count"] == 3
    assert log_in(authenticator, "alice", GOOD) is None


def test_the_hub_goes_on_while_passwords_are_compared(authenticator: BerthAuthenticator) -> None:
    """A comparison takes a fifth of a second on purpose: a class that logs in must not make the hub stand still."""

    async def scenario() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        logins = asyncio.gather(
            *(authenticator.authenticate(None, {"username": "alice", "password": GOOD}) for _ in range(8))
        )
        longest = 0.0
        while not logins.done():
            before = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - before)
        assert logins.result() == ["alice"] * 8
        return longest, loop.time() - started

    longest, whole = asyncio.run(scenario())
    assert longest < whole / 3


def test_an_account_that_is_not_authorised_stays_out(authenticator: BerthAuthenticator) -> None:
    authenticator.get_user("alice").is_authorized = False
    assert log_in(authenticator, "alice", GOOD) is None


def test_the_first_admins_password_is_the_one_in_the_file_and_is_not_set_again(tmp_path: Path) -> None:
    (tmp_path / "admin_password").write_text("from-the-file\n")
    database = orm.new_session_factory(f"sqlite:///{tmp_path / 'hub.sqlite'}")()

    def start() -> BerthAuthenticator:
        return BerthAuthenticator(
            db=database, admin_users={"admin"}, admin_password_file=str(tmp_path / "admin_password")
        )

    assert log_in(start(), "admin", "from-the-file") == "admin"
    start().set_password("admin", "chosen by the admin")
    assert log_in(start(), "admin", "chosen by the admin") == "admin"
    assert log_in(start(), "admin", "from-the-file") is None


def test_an_admin_with_a_capital_gets_in_with_the_password_that_was_made(tmp_path: Path) -> None:
    """However long passwords must be that people choose: the one that was made has 19 characters."""
    (tmp_path / "admin_password").write_text(f"{readable_password()}\n")
    database = orm.new_session_factory(f"sqlite:///{tmp_path / 'hub.sqlite'}")()
    for _ in range(2):
        made = BerthAuthenticator(
            db=database,
            admin_users={"Root"},
            admin_password_file=str(tmp_path / "admin_password"),
            minimum_password_length=30,
        )
    assert [account.username for account in database.query(UserInfo)] == ["root"]
    assert log_in(made, "Root", (tmp_path / "admin_password").read_text().strip()) == "root"
