"""`python scripts/benchmark/tabular COMMAND`: see commands.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tabular.commands import main

if __name__ == "__main__":
    main()
