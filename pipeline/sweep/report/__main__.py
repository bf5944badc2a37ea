"""`python -m pipeline.sweep.report`."""

import sys

from pipeline.sweep.report.page import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
