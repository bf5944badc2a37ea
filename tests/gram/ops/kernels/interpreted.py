"""Tests that need kernels to run: on a GPU, or in Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def pass_with_kernels(name: str) -> None:
    """Run a file of tests in a process of its own: Triton has to know from the start that it interprets."""
    pytest.importorskip("triton", reason="Triton is not installed: kernels cannot run here")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    if DEVICE == "cpu":
        environment["TRITON_INTERPRET"] = "1"
    # Without jaxtyping, which puts functions of its own around those that Triton reads.
    options = ["-p", "no:cacheprovider", "-o", "addopts=-q"]
    command = [sys.executable, "-m", "pytest", *options, str(Path(__file__).with_name(name))]
    root = Path(__file__).parents[4]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
