"""Puts the byte code of all that a server imports at its start into one file: `python -I make_bundle.py FILE`.

Run once, while the image is built, by the interpreter of its servers. What reads it is `bundle.py` beside the shared
notebooks, which also tells what is in it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import marshal
import os
import sys
import sysconfig
import tempfile
import traceback
from pathlib import Path

FORMAT = b"berth-bundle-1\n"
"""Another format has another name, so that whoever reads one leaves the other alone."""

Entry = tuple[str, str, bool, int, int, int, int]
"""Source, byte code, whether it is a package; the source's time and size; where in the file, and how long."""


def main(target: Path) -> None:
    """Write the bundle."""
    import_server()
    places = [f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    others = f"{sysconfig.get_path('stdlib')}/dist-packages/"
    index: dict[str, Entry] = {}
    codes: list[bytes] = []
    length = 0
    for name, module in sorted(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        origin = str(getattr(spec, "origin", ""))
        # Only what comes before a user's own packages, which therefore never have their say in it.
        if spec is None or spec.name != name or not origin.startswith(tuple(places)) or origin.startswith(others):
            continue
        if found := byte_code(spec.cached):
            time, size, code = found
            is_package = spec.submodule_search_locations is not None
            index[name] = (origin, spec.cached, is_package, time, size, length, len(code))
            codes.append(code)
            length += len(code)
    head = marshal.dumps(index)
    target.write_bytes(FORMAT + importlib.util.MAGIC_NUMBER + len(head).to_bytes(8, "little") + head + b"".join(codes))
    target.chmod(0o644)
    print(f"{len(index)} modules, {length} bytes")


def import_server() -> None:
    """Import it, with all its extensions; as far as that goes: what is not in the bundle is imported as ever."""
    with tempfile.TemporaryDirectory() as home, contextlib.redirect_stderr(sys.stdout):
        os.environ |= {"HOME": home, "JUPYTER_RUNTIME_DIR": home, "JUPYTER_CONFIG_DIR": home, "JUPYTER_DATA_DIR": home}
        try:
            import jupyterhub.singleuser.extension  # noqa: F401, PLC0415 (what is imported is the point)
            from jupyter_server.serverapp import ServerApp  # noqa: PLC0415

            options = ["--allow-root", f"--ServerApp.root_dir={home}", "--ServerApp.log_level=ERROR"]
            ServerApp().initialize(options, new_httpserver=False)
        except BaseException:  # noqa: BLE001 (a server that ends here, or a package of the site's, must not cost the image)
            traceback.print_exc()


def byte_code(cached: str | None) -> tuple[int, int, bytes] | None:
    """Time and size of the source that a file of byte code is of, and the code; None if it does not tell."""
    try:
        content = Path(cached or "").read_bytes()
    except OSError:
        return None
    if content[:4] != importlib.util.MAGIC_NUMBER or content[4:8] != b"\0\0\0\0":
        return None
    return int.from_bytes(content[8:12], "little"), int.from_bytes(content[12:16], "little"), content[16:]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
