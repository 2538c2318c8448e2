"""``python -m nbhelpers.data.build portable|open|full|shipped [--to FOLDER] [--cache FOLDER]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nbhelpers.data.build.corpus import build_corpus
from nbhelpers.data.build.recipes import MIXES
from nbhelpers.data.sources import DataFileError


def main(arguments: list[str] | None = None) -> int:
    """Build what was asked for; 0 if it was built, 1 with a message if not."""
    parser = argparse.ArgumentParser(prog="python -m nbhelpers.data.build", description=__doc__)
    parser.add_argument("what", choices=[*MIXES, "shipped"], help="a corpus, or the files of data/")
    parser.add_argument("--to", type=Path, default=Path("_build/data"), help="folder to write to (%(default)s)")
    parser.add_argument(
        "--cache", type=Path, default=Path("_build/packages"), help="where packages are kept (%(default)s)"
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.what == "shipped":
            from nbhelpers.data.build.shipped import build_shipped  # needs numpy and tokenizers; a corpus needs neither

            build_shipped(chosen.to / chosen.what, chosen.cache)
        else:
            build_corpus(chosen.what, chosen.to / chosen.what, chosen.cache)
    except DataFileError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
