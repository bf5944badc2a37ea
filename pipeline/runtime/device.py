"""Whether Triton's kernels run: where they work, unless the configuration says no."""

import torch

from gram.analysis import kernel_check
from gram.system import devices
from pipeline.cli.console import say
from pipeline.config.schema import TrainConfig
from pipeline.runtime import build


def working_device(train: TrainConfig) -> torch.device:
    """The device that is asked for, with kernels or without.

    Raises:
        ValueError: a GPU is asked for and there is none.
        RuntimeError: as `settle`.
    """
    device = build.device(train.device)
    settle(train, device)
    return device


def settle(train: TrainConfig, device: torch.device) -> None:
    """Have plain torch work in the kernels' place where train.kernels is false, or where they fail a trial.

    Raises:
        RuntimeError: they have left the device unusable for this process.
    """
    devices.KERNELS = None if train.kernels else False
    if devices.has_kernels(device) and (why := kernel_check.trial(device).failure):
        devices.KERNELS = False
        say(
            f"Triton's kernels do not work on {device} ({why}): plain torch takes their place, several times "
            "slower. pytest tests/gram/ops/kernels tells more"
        )
