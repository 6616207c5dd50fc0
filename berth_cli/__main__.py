"""Entry point of ``python -m berth_cli``, which is what the launcher starts."""

import sys

from berth_cli.app import main

if __name__ == "__main__":
    sys.exit(main())
