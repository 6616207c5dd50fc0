"""The root helper that asks PAM for one password, and the hub's questions to it.

PAM is the machine's own, with rules of this test's: a script stands for the accounts. Those of a host are tried in
molecule/authentication.
"""

from __future__ import annotations

import asyncio
import configparser
import ctypes
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import berth_pam
import pamela
import pytest
from berth_hub.authenticators import password
from berth_hub.settings.authentication import Authentication
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado import web

from tests.unit.hub.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECRET = "Geheimniß 1"
ROLE = Path(berth_pam.__file__).resolve().parent
UNITS = ROLE / "host/etc/systemd/system"
RULES = "auth required pam_exec.so quiet expose_authtok {script}\naccount required pam_exec.so quiet {script}\n"
# Accounts: alice, who may come in, and erin, whose account has expired. Who is asked for stands in the file `asked`.
SCRIPT = f"""#!/bin/sh
printf '%s\\n' "$PAM_TYPE $PAM_USER" >>{{folder}}/asked
[ "$PAM_TYPE" = account ] && {{{{ [ "$PAM_USER" != erin ]; exit; }}}}
given=$(tr -d '\\0')
case $PAM_USER in alice|erin) [ "$given" = "{SECRET}" ] ;; *) false ;; esac
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What PAM was asked, with rules of this test's."""
    rules = tmp_path / "pam.d"
    rules.mkdir()
    script = tmp_path / "accounts"
    script.write_text(SCRIPT.format(folder=tmp_path), encoding="utf-8")
    script.chmod(0o700)
    (rules / berth_pam.SERVICE).write_text(RULES.format(script=script))
    start = ctypes.CDLL("libpam.so.0").pam_start_confdir
    place = str(rules).encode()
    monkeypatch.setattr(
        pamela, "PAM_START", lambda service, name, talk, handle: start(service, name, talk, place, handle)
    )
    file = tmp_path / "asked"
    return lambda: file.read_text().splitlines() if file.exists() else []


def serve(request: bytes) -> dict[str, Any]:
    """The answer to one request, by the helper's own function."""
    out = io.StringIO()
    berth_pam.serve(io.BytesIO(request), out)
    assert out.getvalue().count("\n") == 1
    answer: dict[str, Any] = json.loads(out.getvalue())
    assert set(answer) == {"admitted"}
    return answer


def question(name: Any, secret: Any) -> bytes:
    return json.dumps({"name": name, "password": secret}).encode() + b"\n"


def program(request: bytes) -> subprocess.CompletedProcess[bytes]:
    """The helper as systemd starts it."""
    return subprocess.run(
        [sys.executable, "-I", str(ROLE / "berth_pam.py")],
        input=request,
        capture_output=True,
        env={},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "secret", "right", "questions"),
    [
        ("alice", SECRET, True, ["auth alice", "account alice"]),
        ("alice", SECRET + "2", False, ["auth alice"]),
        ("Alice", SECRET, False, ["auth Alice"]),
        ("bob", SECRET, False, ["auth bob"]),
        ("erin", SECRET, False, ["auth erin", "account erin"]),
        ("EXAMPLE\\alice smith", SECRET, False, ["auth EXAMPLE\\alice smith"]),
    ],
)
def test_pam_decides(
    asked: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
    *,
    name: str,
    secret: str,
    right: bool,
    questions: list[str],
) -> None:
    assert serve(question(name, secret)) == {"admitted": right}
    # More than once is no harm.
    assert list(dict.fromkeys(asked())) == questions
    said = capsys.readouterr().err
    assert SECRET not in said
    assert (f"refused {name!r}: " in said) is not right


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("alice", ""),
        ("alice", SECRET + "\0"),
        ("alice", "\0"),
        ("", SECRET),
        ("alice\0", SECRET),
        ("alice\nbob", SECRET),
        ("\x1b[2Jalice", SECRET),
        ("../alice", SECRET),
        ("/etc/shadow", SECRET),
        (".", SECRET),
        ("..", SECRET),
        ("--help", SECRET),
        ("a" * (berth_pam.NAME_CHARACTERS_MAX + 1), SECRET),
    ],
)
def test_pam_is_not_asked_about_what_is_no_name_or_no_password(
    asked: Callable[[], list[str]], name: str, secret: str
) -> None:
    assert serve(question(name, secret)) == {"admitted": False}
    assert asked() == []


def test_the_longest_name_is_asked_about(asked: Callable[[], list[str]]) -> None:
    name = "a" * berth_pam.NAME_CHARACTERS_MAX
    assert serve(question(name, SECRET)) == {"admitted": False}
    assert asked() == [f"auth {name}"]


def padded(size: int) -> bytes:
    """A right question of that many bytes."""
    right = question("alice", SECRET)[:-1]
    return right + b" " * (size - len(right) - 1) + b"\n"


NO_REQUESTS = {
    "nothing": b"",
    "no end": question("alice", SECRET)[:-1],
    "too long": padded(berth_pam.REQUEST_BYTES_MAX + 1),
    "endless": b'{"password": "' + SECRET.encode() * 100_000,
    "no JSON": SECRET.encode() + b"\n",
    "no UTF-8": b'{"name": "alice", "password": "Geheimni\xdf 1"}\n',
    "half a character": b'{"name": "alice", "password": "Geheimni\\udf 1"}\n',
    "a lone surrogate": b'{"name": "alice", "password": "\\ud800 Geheimni"}\n',
    "a list": json.dumps(["alice", SECRET]).encode() + b"\n",
    "no name": json.dumps({"password": SECRET}).encode() + b"\n",
    "no password": b'{"name": "alice"}\n',
    "a number": question("alice", 1),
    "two passwords": question("alice", [SECRET, SECRET]),
    "nothing in it": question("alice", None),
    "many brackets": b"[" * (berth_pam.REQUEST_BYTES_MAX - 1) + b"\n",
    "a long number": b"1" * (berth_pam.REQUEST_BYTES_MAX - 1) + b"\n",
}


@pytest.mark.parametrize("request_", NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_is_no_request_is_refused(
    asked: Callable[[], list[str]], capsys: pytest.CaptureFixture[str], request_: bytes
) -> None:
    assert serve(request_) == {"admitted": False}
    assert [line for line in asked() if line.startswith("account")] == []
    said = capsys.readouterr().err
    assert re.fullmatch(r"not a request: \w+\n", said)
    assert "Geheimni" not in said


def test_no_more_is_read_than_a_request_may_have(asked: Callable[[], list[str]]) -> None:
    source = io.BytesIO(NO_REQUESTS["endless"])
    berth_pam.serve(source, io.StringIO())
    assert source.tell() == berth_pam.REQUEST_BYTES_MAX
    assert serve(padded(berth_pam.REQUEST_BYTES_MAX)) == {"admitted": True}
    assert asked()[0] == "auth alice"


def test_one_connection_is_one_question(asked: Callable[[], list[str]]) -> None:
    assert serve(question("alice", "wrong") + question("alice", SECRET)) == {"admitted": False}
    assert asked() == ["auth alice"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "password"]) | st.text(), inner),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_nothing_brings_it_down_or_gets_in(asked: Callable[[], list[str]], request_: bytes) -> None:
    assert serve(request_ + b"\n") == {"admitted": False}
    assert not [line for line in asked() if line.startswith("account")]


@pytest.mark.parametrize(
    "request_", [question("nobody-of-that-name", SECRET), NO_REQUESTS["too long"], NO_REQUESTS["many brackets"]]
)
def test_the_program_answers_and_keeps_the_secret(request_: bytes) -> None:
    """With the machine's own rules, which know no service of that name, or nobody of that name."""
    done = program(request_)
    assert (done.returncode, done.stdout) == (0, b'{"admitted": false}\n')
    assert done.stderr
    assert "Geheimni" not in done.stderr.decode()


def unit(name: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign] # systemd tells upper from lower case
    read.read_string((UNITS / name).read_text())
    return read


def test_the_units_and_the_hub_agree_on_how_long_how_much_and_how_many() -> None:
    """systemd ends a helper whom nobody asks before the hub gives up, and has places for all that the hub asks."""
    assert int(unit("berth-pam@.service")["Service"]["RuntimeMaxSec"]) < password.PAM_SECONDS
    assert int(unit("berth-pam.socket")["Socket"]["MaxConnections"]) >= 2 * password.PAM_AT_ONCE
    assert password.PAM_QUESTION_BYTES_MAX == berth_pam.REQUEST_BYTES_MAX


class Helper:
    """Something that listens where the helper does."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.answer = answer
        self.questions = 0
        self.now = 0
        self.most = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.questions += 1
        self.now += 1
        self.most = max(self.most, self.now)
        writer.write(await self.answer(await reader.readline()))
        self.now -= 1
        writer.close()


def ask(socket: Path, helper: Helper, *pairs: tuple[str, str]) -> list[Any]:
    """What the hub makes of the helper's answers to these, all at once; an exception stands for itself."""

    async def run() -> list[Any]:
        hub = password.Pam(socket=str(socket), settings=Authentication(**changed()["authentication"]))
        async with await asyncio.start_unix_server(helper, socket):
            questions = [hub.authenticate(None, {"username": name, "password": secret}) for name, secret in pairs]
            return await asyncio.gather(*questions, return_exceptions=True)

    return asyncio.run(run())


async def really(request: bytes) -> bytes:
    out = io.StringIO()
    await asyncio.to_thread(berth_pam.serve, io.BytesIO(request), out)
    return out.getvalue().encode()


def test_the_hub_lets_in_whom_pam_lets_in(asked: Callable[[], list[str]], tmp_path: Path) -> None:
    helper = Helper(really)
    pairs = [("alice", SECRET), ("alice", "wrong"), ("bob", SECRET), ("erin", SECRET), ("", ""), ("../alice", SECRET)]
    assert ask(tmp_path / "socket", helper, *pairs) == ["alice", None, None, None, None, None]
    assert helper.questions == len(pairs)
    assert sorted(set(asked())) == ["account alice", "account erin", "auth alice", "auth bob", "auth erin"]


def test_a_class_that_logs_in_at_once_waits_in_line(tmp_path: Path) -> None:
    async def slowly(request: bytes) -> bytes:
        await asyncio.sleep(0.01)
        return b'{"admitted": true}\n' if json.loads(request)["password"] == SECRET else b'{"admitted": false}\n'

    helper = Helper(slowly)
    names = [f"student-{number}" for number in range(5 * password.PAM_AT_ONCE)]
    assert ask(tmp_path / "socket", helper, *((name, SECRET) for name in names)) == names
    assert helper.most == password.PAM_AT_ONCE


async def _silence(_: bytes) -> bytes:
    await asyncio.sleep(3600)
    return b""


def _says(answer: bytes) -> Callable[[bytes], Awaitable[bytes]]:
    async def say(_: bytes) -> bytes:
        return answer

    return say


@pytest.mark.parametrize(
    "answer",
    [_silence, *map(_says, (b"", b"{}\n", b"what?\n", b'"admitted"', b"1\n", b'{"admitted"', b'["admitted"]\n'))],
)
def test_no_answer_is_no_wrong_password(
    answer: Callable[[bytes], Awaitable[bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It must not count as one, or a helper that is down would lock people out; and nobody waits for ever."""
    monkeypatch.setattr(password, "PAM_SECONDS", 0.2)
    (result,) = ask(tmp_path / "socket", Helper(answer), ("alice", SECRET))
    assert isinstance(result, web.HTTPError)
    assert result.status_code == 503
    assert SECRET not in caplog.text
    assert SECRET not in str(result)


@pytest.mark.parametrize("answer", [b'{"admitted": false}\n', b'{"admitted": "yes"}\n', b'{"admitted": 1}\n'])
def test_only_yes_is_yes(answer: bytes, tmp_path: Path) -> None:
    assert ask(tmp_path / "socket", Helper(_says(answer)), ("alice", SECRET)) == [None]


def test_a_helper_that_is_not_there(tmp_path: Path) -> None:
    async def run() -> None:
        hub = password.Pam(socket=str(tmp_path / "none"), settings=Authentication(**changed()["authentication"]))
        with pytest.raises(web.HTTPError, match="503"):
            await hub.authenticate(None, {"username": "alice", "password": SECRET})

    asyncio.run(run())


def test_the_hub_does_not_ask_what_the_helper_does_not_read(tmp_path: Path) -> None:
    helper = Helper(_says(b'{"admitted": true}\n'))
    assert ask(tmp_path / "socket", helper, ("alice", "x" * password.PAM_QUESTION_BYTES_MAX)) == [None]
    assert helper.questions == 0
