"""`python -m pipeline.evaluate`."""

import sys

from pipeline.cli.command import main
from pipeline.evaluate.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(main(STAGE, run))
