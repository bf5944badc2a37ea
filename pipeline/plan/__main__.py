"""`python -m pipeline.plan`."""

import sys

from pipeline.cli.command import main
from pipeline.plan.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(main(STAGE, run))
