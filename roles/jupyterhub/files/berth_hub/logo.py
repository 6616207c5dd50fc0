"""Checks the site's logo before it is used: `python -m berth_hub.logo FILE SUFFIX`."""

import re
import sys
from pathlib import Path

BYTES_MAX = 512 * 1024
"""It is part of every page of the hub."""

_JPEG = re.compile(rb"\xff\xd8\xff")
_STARTS = {
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "svg": re.compile(
        rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE\s+svg[^>\[]*>\s*)?<svg[\s>]",
        re.DOTALL,
    ),
}
# Opened by itself an SVG is a page of the hub's own origin, where a script could do what its user may.
_ACTIVE = re.compile(rb"<\s*script|<\s*foreignObject|\son\w+\s*=|javascript:|<!ENTITY", re.IGNORECASE)


def check(content: bytes, suffix: str) -> None:
    """Refuse what is not the picture that its name says, is too large, or could run in a browser.

    Args:
        content: of the file.
        suffix: how the file's name ends, by which the hub tells browsers what it is.

    Raises:
        ValueError: says what is allowed.
    """
    if suffix not in _STARTS:
        raise ValueError(f'".{suffix}" is no picture: use .png, .jpg or .svg')
    if len(content) > BYTES_MAX:
        raise ValueError(f"the picture has {len(content) // 1024} KB: use one of at most {BYTES_MAX // 1024} KB")
    if not _STARTS[suffix].match(content):
        raise ValueError(f"what is in the file is no {suffix.upper()} picture")
    if suffix == "svg" and (found := _ACTIVE.search(content)):
        raise ValueError(f"the picture holds {found[0].decode(errors='replace').strip()!r}: use an SVG without scripts")


def main() -> int:
    """Check the file that is named; exit code 1 if it cannot be the logo."""
    try:
        check(Path(sys.argv[1]).read_bytes(), sys.argv[2])
    except (OSError, ValueError) as error:
        print(f"jupyterhub_logo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
