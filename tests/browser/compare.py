"""Hubs beside one another as a person sees them: from the click that logs in to the first cell's output, by turns.

Everybody named needs a login with that password at each hub, and nobody should have a server yet:

    python -m tests.browser.compare --password PASSWORD --people u1 u2 u3 --hubs \\
        berth=https://localhost:8443 stock=http://127.0.0.1:8700

A stock hub that `./berth bench spawn --keep` has left listens on the host's own loopback address: run it there, or in
the network of a demo host (`nsenter --net`).

Each time is somebody else, in a browser that has kept nothing. The first of the people is not counted.
"""

import argparse
import shutil
import statistics
import sys

from playwright.sync_api import Browser, expect, sync_playwright

from . import lab
from .conftest import CHROMIUM_ARGUMENTS
from .test_first_cell import seconds_to_first_cell

Seconds = dict[str, list[float]]


def measure(browser: Browser, hubs: dict[str, str], people: list[str], password: str) -> dict[str, Seconds]:
    """Seconds of each step, for each hub."""
    found: dict[str, Seconds] = {hub: {} for hub in hubs}
    for number, person in enumerate(people):
        for hub, url in hubs.items():
            context = browser.new_context(ignore_https_errors=True, viewport={"width": 1200, "height": 750})
            context.set_default_timeout(lab.TIMEOUT_MS)
            page = context.new_page()
            lab.answer_questions(page)
            for step, seconds in seconds_to_first_cell(page, url, person, password).items():
                found[hub].setdefault(step, []).extend([seconds] if number else [])
            context.close()
    return found


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--password", required=True)
    parser.add_argument("--people", nargs="+", required=True)
    parser.add_argument("--hubs", nargs="+", required=True, metavar="NAME=URL")
    given = parser.parse_args(arguments)
    hubs = dict(hub.split("=", 1) for hub in given.hubs)
    expect.set_options(timeout=lab.TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
        found = measure(browser, hubs, given.people, given.password)
        browser.close()
    print(f"{'seconds to':36} {'times':>5} {'median':>7} {'least':>7} {'most':>7}")
    for hub, steps in found.items():
        for step, seconds in steps.items():
            least, most = min(seconds), max(seconds)
            row = f"{len(seconds):5} {statistics.median(seconds):7.2f} {least:7.2f} {most:7.2f}"
            print(f"{hub + ': ' + step:36} {row}")


if __name__ == "__main__":
    main(sys.argv[1:])
