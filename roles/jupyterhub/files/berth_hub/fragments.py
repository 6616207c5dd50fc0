"""Configuration of the site's own, `jupyterhub_config.d/*.py`: how it is loaded, and how it is brought to the host.

`python -m berth_hub.fragments DIRECTORY` reads {"settings": ..., "fragments": {NAME: TEXT}, "logo": NAME} from standard
input, tries it all out as the hub's user, and only then replaces what is in the directory, and removes logos of another
name beside it. It prints what it changed; with `--dry-run`, what it would.
"""

import argparse
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

HUB_USER = "berth"
TRY_SECONDS = 300
"""Loading takes a second, on a very busy host a minute; what waits for ever must not make the playbook wait, too."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.py")


def load_fragments(c: Any, directory: Path) -> None:
    """Run every `*.py` of a directory in the order of their names; each sees `c` and `get_config()`.

    Raises:
        RuntimeError: says which fragment failed, in which line, and why.
    """
    for path in sorted(directory.glob("*.py")):
        try:
            code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
            # The site's root wrote it, to be run.
            exec(code, {"__name__": "__berth_fragment__", "__file__": str(path), "c": c, "get_config": lambda: c})  # noqa: S102
        except SystemExit as error:
            raise RuntimeError(f"{path}: ends the hub: exit({error.code})") from error
        except Exception as error:
            raise RuntimeError(f"{path}{_line(error, path)}: {type(error).__name__}: {error}") from error


def _line(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def install(directory: Path, wanted: dict[str, str], settings: dict[str, Any], *, dry_run: bool) -> list[str]:
    """Bring the directory to what is wanted, if the hub can load it. Returns the names that changed.

    Raises:
        ValueError: says which fragment is wrong and why; nothing was changed.
    """
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f'"{name}" is no name of a fragment: use letters, digits, ".", "_" and "-", like 10-theme.py'
            )
    there = {path.name: path for path in directory.glob("*")} if directory.is_dir() else {}
    changed = [name for name in wanted if name not in there or there[name].read_text(encoding="utf-8") != wanted[name]]
    gone = [name for name in there if name not in wanted]
    if wanted:
        _try(wanted, settings)
    if dry_run or not (changed or gone):
        return changed + gone
    directory.mkdir(mode=0o755, exist_ok=True)
    for name in changed:
        _write(directory / name, wanted[name])
    for name in gone:
        there[name].unlink()
    return changed + gone


def _try(wanted: dict[str, str], settings: dict[str, Any]) -> None:
    """Load the fragments as the hub's user, away from where the running hub's are."""
    with tempfile.TemporaryDirectory(prefix="berth-fragments-") as made:
        place = Path(made)
        fragments = place / "jupyterhub_config.d"
        fragments.mkdir()
        for name, text in wanted.items():
            _write(fragments / name, text)
        _write(place / "hub.json", json.dumps(settings))
        as_hub: dict[str, Any] = {}
        if os.geteuid() == 0:
            _give_to_hub(place, fragments, place / "hub.json", *fragments.iterdir())
            # With the groups that the hub has: some of its secrets belong to one of them.
            groups = os.getgrouplist(HUB_USER, pwd.getpwnam(HUB_USER).pw_gid)
            as_hub = {"user": HUB_USER, "group": HUB_USER, "extra_groups": groups}
        command = [sys.executable, "-m", "berth_hub.rehearsal", str(place)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd="/", timeout=TRY_SECONDS, **as_hub
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"jupyterhub_config_d: the fragments take more than {TRY_SECONDS} s to load.") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ValueError("jupyterhub_config_d: " + lines[-1].replace(f"{fragments}/", "").replace(f"{place}/", ""))


def _give_to_hub(*paths: Path) -> None:
    for path in paths:
        shutil.chown(path, HUB_USER, HUB_USER)


def _write(path: Path, text: str) -> None:
    """Write beside it and rename: the hub may start at any moment. It may hold a secret: only root and hub read it."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as file:
        file.write(text)
    if os.geteuid() == 0:
        shutil.chown(part, "root", HUB_USER)
    part.rename(path)


def main() -> int:
    """Entry point; exit code 1 if something is wrong, which standard error then tells in one line."""
    parser = argparse.ArgumentParser(description="Configuration of the site's own")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    directory: Path = arguments.directory
    try:
        given = json.load(sys.stdin)
        changed = install(directory, given["fragments"], given["settings"], dry_run=arguments.dry_run)
        for logo in directory.parent.glob("logo.*"):
            if logo.name != given.get("logo"):
                changed.append(logo.name)
                if not arguments.dry_run:
                    logo.unlink()
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(changed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
