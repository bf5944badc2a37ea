"""Launch of Triton kernels on the device of their tensors."""

import os
from typing import Any

import torch
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""True if kernels run in Triton's interpreter, on any device, for tests; Triton reads it on import."""


def launch(kernel: Any, grid: Any, like: Tensor, *arguments: Any, **options: Any) -> None:
    """Launch a kernel on the device of a tensor; Triton alone would take the current device."""
    with torch.cuda.device_of(like):
        kernel[grid](*arguments, **options)
