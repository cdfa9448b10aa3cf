"""What ``test_ranks.py`` runs in two processes: command lines, one after the other, as ``srun`` would start them.

Usage: ``two_ranks.py LINES``, LINES a JSON list of lists of words.
"""

import json
import sys

from prunelab.cli import main

if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        sys.argv = ["prunelab", *words]
        try:
            main()
        except SystemExit as stop:
            if stop.code:
                raise
