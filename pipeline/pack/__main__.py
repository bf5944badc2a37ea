"""`python -m pipeline.pack`."""

import sys

from pipeline.cli.command import main
from pipeline.pack.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(main(STAGE, run))
