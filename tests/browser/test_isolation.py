"""The promise: what one user types, keeps in variables and writes into files, no other user meets."""

from playwright.sync_api import Page, expect

from . import lab
from .conftest import NewWindow, Picture
from .hub import Hub, Person, log_in

HELLO = "/lab/tree/notebooks/hello.ipynb"


def test_alice_and_bob_do_not_meet(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Both open the shared notebook at the same time; each has its text, kernel, files and machine alone."""
    alice, bob = new_window("alice"), new_window("bob")
    _open_hello(alice, hub, people["alice"])
    _open_hello(bob, hub, people["bob"])

    lab.say(alice, "A")
    expect(lab.said(alice)).to_have_text("'A'")
    expect(lab.said(bob)).to_have_text("'Hello World '")
    picture(alice, "alice-hello")
    picture(bob, "bob-hello")

    lab.run(alice, 'secret = "of alice"')
    expect(lab.run(alice, 'print("secret" in globals())')).to_have_text("True")
    expect(lab.run(bob, 'print("secret" in globals())')).to_have_text("False")

    lab.run(alice, 'from pathlib import Path\n(Path.home() / "of-alice.txt").write_text("mine")')
    look = 'from pathlib import Path\nprint(any(Path.home().rglob("of-alice.txt")))'
    expect(lab.run(alice, look)).to_have_text("True")
    expect(lab.run(bob, look)).to_have_text("False")

    machine = "import socket\nprint(socket.gethostname())"
    hers, his = lab.run(alice, machine), lab.run(bob, machine)
    expect(hers).not_to_be_empty()
    expect(his).not_to_have_text(hers.inner_text().strip())


def test_nobody_gets_into_the_server_of_another(
    hub: Hub, people: dict[str, Person], new_window: NewWindow, picture: Picture
) -> None:
    """Bob, logged in, goes to Alice's address: he is turned away, and does not see her notebook."""
    alice, bob = new_window("alice"), new_window("bob")
    log_in(alice, hub, people["alice"], HELLO)
    log_in(bob, hub, people["bob"], HELLO)

    answer = bob.goto(hub.server(people["alice"], HELLO))
    assert answer is not None
    assert answer.status in {403, 404}
    expect(bob.locator(".jp-Notebook")).to_have_count(0)
    picture(bob, "bob-turned-away")

    contents = bob.request.get(hub.server(people["alice"], "/api/contents/notebooks/hello.ipynb"))
    assert contents.status in {403, 404}


def _open_hello(page: Page, hub: Hub, person: Person) -> None:
    log_in(page, hub, person, HELLO)
    lab.wait_until_ready(page, "hello.ipynb")
    lab.run_all(page)
    expect(lab.said(page)).to_have_text("'Hello World '")
