"""`python -m pipeline.export`."""

import sys

from pipeline.cli.command import main
from pipeline.export.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(main(STAGE, run))
