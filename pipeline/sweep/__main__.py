"""`python -m pipeline.sweep`."""

import sys

from pipeline.cli.command import main
from pipeline.sweep.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(main(STAGE, run))
