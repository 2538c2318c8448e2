"""The text of the set-up cell: the first code cell of every chapter, the same in each.

On Colab it fetches the package and its data at the book's own tag (a shallow clone put on the path: an
editable install would not be importable in the running kernel). It installs nothing, so nothing that
Colab ships can be downgraded. Elsewhere it only sets PRESET.
"""

from nbhelpers.core.identity import REPOSITORY, REVISION

SETUP_CELL = f'''# Set-up: on Colab this fetches the book's helpers and data; elsewhere it does nothing.
import os
import subprocess
import sys

PRESET = None  # "quick", "full", or None: full where there is a GPU, quick elsewhere
BOOK = "{REPOSITORY}"
TAG = "{REVISION}"

if "google.colab" in sys.modules and "nbhelpers" not in sys.modules:
    folder = f"nested-learning-{{TAG}}"
    clone = ["git", "clone", "--quiet", "--depth=1", f"--branch={{TAG}}", BOOK, folder]
    if not os.path.isdir(folder):
        subprocess.run(clone, check=True)
    sys.path.insert(0, folder)'''
