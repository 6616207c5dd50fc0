"""Sign-up in a running hub: who waits, who decides, and that nobody learns who has an account."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests
from berth_hub.signup import NOTE_LENGTH_MAX

from tests.unit.hub.pages import said, send
from tests.unit.hub.running_hub import ADMIN_PASSWORD, Hub, Running

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = "a password good enough"
OTHER = "another one, as good"
WAITING_MAX = 3


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    people: dict[str, Any] = {"people__signup": "approval", "people__signup_waiting_max": WAITING_MAX}
    with Running(folder, authentication__trusted_fronts=["127.0.0.1"], **people) as running:
        yield running


@pytest.fixture(autouse=True)
def nobody_waits(hub: Hub) -> Iterator[None]:
    yield
    hub.users(*({"name": name, "state": "refused"} for name in waiting(hub)))
    hub.users(*({"name": name, "state": "absent"} for name in ("anna", "bert")))


def waiting(hub: Hub) -> list[str]:
    return [one["name"] for one in hub.users()["waiting"]]


def ask(hub: Hub, name: str, password: str = GOOD, again: str | None = None, note: str = "") -> requests.Response:
    form = {"username": name, "password": password, "password_confirmation": password if again is None else again}
    return send(hub, requests.Session(), "signup", note=note, **form)


def admin(hub: Hub) -> requests.Session:
    session = hub.log_in("admin", ADMIN_PASSWORD)
    assert session is not None
    return session


def test_who_signs_up_waits_and_is_approved(hub: Hub) -> None:
    page = requests.get(f"{hub.url}/hub/login", timeout=30).text
    assert 'href="/hub/signup"' in page
    answer = ask(hub, "Anna", note="Anna A., first row <b>left</b>")
    assert answer.status_code == 200
    assert (said(answer, "done") or "").startswith("Thank you.")
    (one,) = hub.users()["waiting"]
    assert (one["name"], one["note"]) == ("anna", "Anna A., first row <b>left</b>")
    assert one["address"] == "127.0.0.1"
    assert hub.log_in("anna", GOOD) is None
    assert hub.user("anna") is None

    session = admin(hub)
    listed = session.get(f"{hub.url}/hub/people", timeout=30).text
    assert "&lt;b&gt;left" in listed
    assert 'href="/hub/people"' in listed
    assert said(send(hub, session, "people", name="anna", action="approve"), "done") == "anna can log in now."
    assert waiting(hub) == []
    assert hub.log_in("anna", GOOD) is not None
    found = hub.user("anna")
    assert found is not None
    assert found["admin"] is False


def test_who_is_refused_stays_out(hub: Hub) -> None:
    ask(hub, "anna")
    assert said(send(hub, admin(hub), "people", name="anna", action="refuse"), "done") == "anna was refused."
    assert (waiting(hub), hub.user("anna"), hub.log_in("anna", GOOD)) == ([], None, None)


def test_the_operator_decides_as_well(hub: Hub) -> None:
    ask(hub, "anna")
    ask(hub, "bert")
    done = hub.users(
        {"name": "anna", "state": "approved", "groups": ["students"]}, {"name": "bert", "state": "refused"}
    )
    assert (done["approved"], done["refused"], done["changed"]) == (["anna"], ["bert"], ["anna", "bert"])
    assert hub.log_in("anna", GOOD) is not None
    found = hub.user("anna")
    assert found is not None
    assert found["groups"] == ["students"]
    assert "'bert' does not wait for approval" in hub.refused({"name": "bert", "state": "approved"})
    assert "'anna' does not wait for approval" in hub.refused({"name": "anna", "state": "refused"})


def test_nobody_learns_who_has_an_account_or_waits(hub: Hub) -> None:
    """The page is the same to the byte, but for what changes with each page."""
    hub.users({"name": "bert", "password": OTHER})

    def page(name: str) -> tuple[int, str]:
        answer = ask(hub, name)
        return answer.status_code, re.sub(r'"[^"]*[|:][^"]*"', "", answer.text)

    assert page("anna") == page("bert") == page("anna")
    assert waiting(hub) == ["anna"]


def test_the_first_password_of_who_waits_stays(hub: Hub) -> None:
    """Else somebody could put their own password under a name that is about to be approved."""
    ask(hub, "anna", GOOD)
    ask(hub, "anna", OTHER)
    hub.users({"name": "anna", "state": "approved"})
    assert hub.log_in("anna", OTHER) is None
    assert hub.log_in("anna", GOOD) is not None


def test_a_request_never_takes_over_an_account(hub: Hub) -> None:
    ask(hub, "anna", GOOD)
    # As an admin does it on JupyterHub's own page.
    assert hub.api("POST", "users/anna").status_code == 201
    assert "has an account already" in hub.refused({"name": "anna", "state": "approved"})
    answer = send(hub, admin(hub), "people", name="anna", action="approve")
    assert answer.status_code == 409
    assert "has an account already" in (said(answer, "problem") or "")
    assert hub.log_in("anna", GOOD) is None


def test_whom_the_operator_adds_does_not_wait_any_more(hub: Hub) -> None:
    ask(hub, "anna", GOOD)
    hub.users({"name": "anna", "password": OTHER})
    assert waiting(hub) == []
    assert hub.log_in("anna", GOOD) is None
    assert hub.log_in("anna", OTHER) is not None


def test_behind_a_front_of_the_sites_own_it_is_the_person_whose_address_counts(hub: Hub) -> None:
    session = requests.Session()
    # As the proxy passes it on: whom the front has named, then the front.
    session.headers["X-Forwarded-For"] = "203.0.113.7, 127.0.0.1"
    form = {"username": "anna", "password": GOOD, "password_confirmation": GOOD}
    send(dataclasses.replace(hub, url=hub.hub_url), session, "signup", note="", **form)
    (one,) = hub.users()["waiting"]
    assert one["address"] == "203.0.113.7"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("../x", GOOD, GOOD, ""), "holds a"),
        (("", GOOD, GOOD, ""), "A user name has 1 to 255 characters"),
        (("a b", GOOD, GOOD, ""), "is not a user name"),
        (("anna", "short", "short", ""), "A password has at least 8 characters."),
        (("anna", GOOD, OTHER, ""), "The two passwords differ."),
        (("anna", "password1", "password1", ""), "That password is among those"),
        (("anna", GOOD, GOOD, "x" * (NOTE_LENGTH_MAX + 1)), "A note has at most 200 characters."),
    ],
)
def test_what_cannot_be_is_said(hub: Hub, given: tuple[str, str, str, str], message: str) -> None:
    answer = ask(hub, *given)
    assert answer.status_code == 400
    assert message in (said(answer, "problem") or "")
    assert waiting(hub) == []


def test_no_more_wait_than_may(hub: Hub) -> None:
    for number in range(WAITING_MAX):
        assert ask(hub, f"anna{number}").status_code == 200
    for name in ("bert", "admin"):  # the same for who has an account
        assert ask(hub, name).status_code == 503
    assert len(waiting(hub)) == WAITING_MAX


def test_a_form_of_another_site_does_nothing(hub: Hub) -> None:
    form: dict[str, Any] = {"username": "anna", "password": GOOD, "password_confirmation": GOOD}
    assert requests.post(f"{hub.url}/hub/signup", data=form, timeout=30).status_code == 403
    ask(hub, "anna")
    session = admin(hub)
    address = f"{hub.url}/hub/people"
    assert session.post(address, data={"name": "anna", "action": "approve"}, timeout=30).status_code == 403
    session.get(f"{address}?name=anna&action=approve", timeout=30)
    assert waiting(hub) == ["anna"]


def test_the_page_is_throttled(hub: Hub) -> None:
    """Comes last: this address has used up what it may."""
    answers = [ask(hub, "../x").status_code for _ in range(3)]
    assert answers == [400] * 3  # what cannot be costs nothing
    answers = []
    while 429 not in answers and len(answers) < 40:
        answers.append(ask(hub, "admin").status_code)
    assert answers[-1] == 429
    assert set(answers[:-1]) == {200}
