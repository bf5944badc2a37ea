"""`python -m pipeline.report`."""

import sys

from pipeline.cli.command import main
from pipeline.report.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(main(STAGE, run))
