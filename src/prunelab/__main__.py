"""``python -m prunelab`` is the command line."""

from prunelab.cli import main

main()
