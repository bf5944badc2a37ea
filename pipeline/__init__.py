"""Stages of the experiment pipeline: configuration in, files and tracked runs out; the method is `gram`."""

import os

# Waiting threads sleep instead of spinning, which slows training several times on a busy machine. The OpenMP
# library reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pipeline.cli import startup

startup.begin()
