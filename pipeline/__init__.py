"""The stages: configuration in, files and tracked runs out. All method lives in `gram`."""

import os

# Threads that wait for each other sleep instead of spinning: on a machine with anything else to do, spinning
# makes training several times slower. The OpenMP library reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pipeline.cli import startup

startup.begin()
