"""`python -m pipeline.train`."""

import sys

from pipeline.cli.command import main
from pipeline.runtime.launch import exit_status
from pipeline.train.stage import STAGE, run

if __name__ == "__main__":
    sys.exit(exit_status.as_worker(lambda: main(STAGE, run)))
