"""`python -m sat2map` is the command `sat2map`."""

import sys

from sat2map.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
