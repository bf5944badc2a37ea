"""Device and backend of a stage: the GPU where there is one, with Triton kernels where they pass a check."""

import torch

from gram.analysis.kernel_check import check_kernels
from gram.model.generator import Generator
from gram.ops.backend import LEAN, Backend, backend_of, use_backend
from pipeline.cli.console import say
from pipeline.config.schema import TrainConfig
from pipeline.runtime import build


def place(generator: Generator, train: TrainConfig) -> Generator:
    """Move a generator to the configured device and set its backend.

    Raises:
        ValueError: a GPU is configured and there is none.
        RuntimeError: as `working_backend`.
    """
    device = build.device(train.device)
    use_backend(generator, working_backend(train, device))
    return generator.to(device)


def working_backend(train: TrainConfig, device: torch.device) -> Backend:
    """Backend of a device: without kernels where train.kernels is false or where they fail their check.

    Raises:
        RuntimeError: kernels have left the device unusable for this process.
    """
    backend = backend_of(device, kernels=train.kernels)
    if not backend.kernels or (failure := check_kernels(device).failure) is None:
        return backend
    say(
        f"Triton's kernels do not work on {device} ({failure}): plain torch takes their place, several times "
        "slower. pytest tests/gram/ops/kernels tells more"
    )
    return LEAN
