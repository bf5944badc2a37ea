"""How kernels are started."""

import os
from typing import Any

import torch
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether kernels run in Triton's interpreter, on any device and for tests. Triton reads it when imported."""


def launch(kernel: Any, grid: Any, like: Tensor, *arguments: Any, **options: Any) -> None:
    """Start a kernel on the device of a tensor: Triton's own choice is the current one."""
    with torch.cuda.device_of(like):
        kernel[grid](*arguments, **options)
