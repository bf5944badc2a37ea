"""Settings of torch for a process that trains."""

import os

import torch

from gram.system.memory import keep_freed_memory
from pipeline.config.schema import TrainConfig


def apply(train: TrainConfig) -> None:
    """Set threads, determinism, and the reuse of freed memory."""
    keep_freed_memory()
    if train.threads:
        torch.set_num_threads(train.threads)
    if train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # no code reads uninitialised memory, and filling it takes time
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
        torch.backends.cudnn.benchmark = False
    else:
        torch.backends.cudnn.benchmark = True
