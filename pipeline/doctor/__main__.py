"""`python -m pipeline.doctor`."""

import sys

from pipeline.cli.command import main
from pipeline.doctor.stage import STAGE, run
from pipeline.runtime.launch import exit_status

if __name__ == "__main__":
    sys.exit(exit_status.as_worker(lambda: main(STAGE, run)))
