"""Exponential moving averages of weights, with warm-up."""

import torch
from torch import nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel

WARMUP_UPDATES = 10.0


def averaged_copy(model: nn.Module, decay: float) -> AveragedModel:
    """Build the moving average of a model, advanced by `update_parameters(model)`.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), which quickly discounts the initial weights.

    Raises:
        ValueError: decay outside [0, 1).
    """
    if not 0.0 <= decay < 1.0:
        raise ValueError(f"EMA decay {decay}: a value in [0, 1) is needed, for instance 0.999")

    def update(averages: PARAM_LIST, current: PARAM_LIST, updates: torch.Tensor | int) -> None:
        n = torch.as_tensor(updates, dtype=torch.float32)
        keep = ((1.0 + n) / (WARMUP_UPDATES + n)).clamp(max=decay)
        for average, value in zip(averages, current, strict=True):
            average.lerp_(value.to(average.dtype), (1.0 - keep).to(average.dtype))

    copy = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    return copy.eval().requires_grad_(False)
