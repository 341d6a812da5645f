"""Stage 1 in a clone: ``python get_activations.py --help``. Installed, the same command is ``get-activations``."""

import sys

from sparse_probing.commands.get_activations import main

if __name__ == "__main__":
    sys.exit(main())
