"""Check a file from the command line: `python -m berth_hub.settings FILE`."""

import sys
from pathlib import Path

from berth_hub.settings import load


def main() -> int:
    """Check the file that is named; exit code 1 if it is not valid."""
    try:
        load(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
