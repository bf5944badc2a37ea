"""`python -m pipeline.prepare`."""

import sys

from pipeline.cli.command import main
from pipeline.prepare.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(main(STAGE, run))
