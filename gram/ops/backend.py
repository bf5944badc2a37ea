"""Backends: the algorithms that evaluate networks and intersections on one kind of device.

| backend | device | algorithms |
|---|---|---|
| `CPU` | CPU | chunks that fit a core's cache, derivatives by hand, sizes that depend on values |
| `LEAN` | any other | plain torch in few, large, equal steps: no host synchronisation |
| `TRITON` | CUDA, capability 8.0 and above | as `LEAN`, with Triton kernels for float32 and half precision |

All three compute the same functions and gradients, to rounding. A backend is chosen once, by `backend_of`,
and passed down: `use_backend` sets it on the parts of a model; functions take it as an argument.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Backend:
    """Choice of algorithms.

    Attributes:
        name: `cpu`, `lean` or `triton`.
        host_sync: sizes may depend on values, for which the host waits.
        kernels: Triton kernels run.
    """

    name: str
    host_sync: bool
    kernels: bool

    def has_kernels_for(self, tensor: Tensor) -> bool:
        """True if the kernels for float32 take this tensor."""
        return self.kernels and tensor.dtype == torch.float32


CPU = Backend("cpu", host_sync=True, kernels=False)
LEAN = Backend("lean", host_sync=False, kernels=False)
TRITON = Backend("triton", host_sync=False, kernels=True)


@cache
def backend_of(device: torch.device, *, kernels: bool = True) -> Backend:
    """Backend of a device; with kernels where Triton is installed and the GPU has tf32, unless refused."""
    if device.type == "cpu":
        return CPU
    if not kernels or device.type != "cuda" or torch.version.cuda is None or find_spec("triton") is None:
        return LEAN
    return TRITON if torch.cuda.get_device_capability(device) >= (8, 0) else LEAN


class BackendModule(nn.Module):
    """Part of a model that a backend evaluates; None is the backend of its inputs' device."""

    backend: Backend | None = None


def use_backend(model: nn.Module, backend: Backend | None) -> None:
    """Set the backend of every part of a model."""
    for part in model.modules():
        if isinstance(part, BackendModule):
            part.backend = backend


@cache
def shared_memory(device: torch.device) -> int:
    """Bytes of shared memory of a block of threads; 2^31 on devices that are no GPU."""
    if device.type != "cuda":
        return 2**31
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin
