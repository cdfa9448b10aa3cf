"""``python -m prunelab`` is the command line."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the current folder, whose files are data: a lightning.py in it must not be run

from prunelab.start import main

main()
