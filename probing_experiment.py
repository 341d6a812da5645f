"""Stage 2 in a clone: ``python probing_experiment.py --help``; installed, the same is ``probing-experiment``."""

import sys

from sparse_probing.commands.probing_experiment import main

if __name__ == "__main__":
    sys.exit(main())
