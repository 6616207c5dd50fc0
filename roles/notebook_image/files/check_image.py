"""Tells what images of a site's own lack to run as berths: `check_image.py UID IMAGE...`, a line for each thing.

An image that passed is not started again: its id is noted in CHECKED, with the uid that it was asked for.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKED = Path("/var/lib/berth/image/checked")

HOME = "/home/jovyan"
"""Where a berth's home is mounted."""

VERSION_MIN = (5, 0)
"""Of JupyterHub in the image: older single-user servers do not speak to the hub."""

TIMEOUT_SECONDS = 300
"""The first start of a large image on a slow disk takes a minute."""

QUESTIONS = (
    'echo "uid=$(id -u)"; echo "home=$HOME"; echo "server=$(command -v jupyterhub-singleuser)"; '
    'echo "version=$(jupyterhub-singleuser --version 2>/dev/null | tail -n 1)"'
)

ADD_SERVER = "RUN pip install 'jupyterhub==6.1.*' jupyterlab notebook nbgitpuller"


def lacks(answers: dict[str, str], uid: int) -> list[str]:
    """What an image lacks, each with the lines of a Dockerfile that add it.

    Args:
        answers: What it says to QUESTIONS.
        uid: The user that homes belong to.
    """
    found = []
    if not answers.get("server"):
        found.append(f"it has no jupyterhub-singleuser on its PATH; add to its Dockerfile: {ADD_SERVER}")
    elif version(answers.get("version", "")) < VERSION_MIN:
        found.append(
            f"its JupyterHub is {answers.get('version') or 'of an unknown version'}, and "
            f"{'.'.join(map(str, VERSION_MIN))} or newer is needed; add to its Dockerfile: {ADD_SERVER}"
        )
    if answers.get("uid") != str(uid):
        found.append(
            f"it runs as uid {answers.get('uid')}, and homes belong to {uid} (user_homes_uid); add to its "
            f"Dockerfile: RUN useradd --uid {uid} --create-home jovyan and USER {uid}, or set user_homes_uid"
        )
    elif answers.get("home") != HOME:
        found.append(
            f"its HOME is {answers.get('home')}, and homes are on {HOME}; add to its Dockerfile: ENV HOME={HOME}"
        )
    return found


def version(text: str) -> tuple[int, ...]:
    """Numbers of a version; none of what is no version."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else ()


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask the engine."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)


def ask(image: str) -> tuple[dict[str, str], str]:
    """Start an image once, without network and past its entry point; returns its answers, and why there are none."""
    done = docker(
        "run", "--rm", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--entrypoint=/bin/sh",
        image, "-c", QUESTIONS,
    )  # fmt: skip
    if done.returncode:
        return {}, f"it does not start, or has no /bin/sh: {done.stderr.strip() or done.stdout.strip()}"
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line), ""


def check(image: str, uid: int) -> list[str]:
    """What is wrong with one image of this host; one that passed before passes at once."""
    mark = f"{docker('image', 'inspect', '--format={{.Id}}', image).stdout.strip()} {uid}"
    if CHECKED.is_file() and mark in CHECKED.read_text(encoding="utf-8").splitlines():
        return []
    answers, trouble = ask(image)
    found = [trouble] if trouble else lacks(answers, uid)
    if not found:
        with CHECKED.open("a", encoding="utf-8") as stream:
            stream.write(f"{mark}\n")
    return [f"{image}: {what}" for what in found]


if __name__ == "__main__":
    for name in sys.argv[2:]:
        print("\n".join(check(name, int(sys.argv[1]))))
