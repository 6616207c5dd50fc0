"""Takes a wait out of JupyterLab's page: `python -I quick_page.py FOLDER`, with the folder of its static files.

Before it shows a launcher, or opens what the address names, JupyterLab saves its workspace, which it puts off for half
a second, and again for as long whenever something of it changes meanwhile: about a second in which it does nothing. It
is saved all the same, and nothing there needs it to be. Run once, while the image is built; a JupyterLab that is
written otherwise is left as it is.
"""

import re
import sys
from pathlib import Path

# In the command that loads a workspace, the last thing before the command that resets one; names are a minifier's.
WAIT = re.compile(rb"await (?P<save>[\w$]+\.invoke\(\)\}\}\),[\w$]+\.addCommand\([\w$]+\.reset,)")


def main(folder: Path) -> str:
    """Change the one place; returns what was done."""
    found = {file: len(WAIT.findall(file.read_bytes())) for file in folder.glob("jlab_core.*.js")}
    if sum(found.values()) != 1:
        return f"JupyterLab's page is left as it is: {sum(found.values())} places in {len(found)} files"
    file = next(file for file, count in found.items() if count)
    file.write_bytes(WAIT.sub(rb"void \g<save>", file.read_bytes()))
    return f"JupyterLab's page no longer waits for its workspace to be saved ({file.name})"


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
