"""Random batches as a pure function of (seed, step), without state in checkpoints.

Every process draws the whole batch and takes its share, so draws do not depend on the number of processes.
"""

import numpy as np
import torch
from torch import Tensor

from gram.shapes import Int


def step_generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """Random generator of one step; different streams are independent."""
    state = np.random.SeedSequence([seed, stream, step]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


class EpochSampler:
    """Sampler of shuffled indices, every item once per epoch, addressed by step.

    Args:
        count: items of the data set.
        batch_size: indices per step.
        seed: seed of the shuffles.

    Raises:
        ValueError: empty data set.
    """

    STREAM = 1

    def __init__(self, count: int, batch_size: int, *, seed: int) -> None:
        if count < 1:
            raise ValueError("an empty data set cannot be sampled")
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self._epochs: dict[int, Tensor] = {}

    def indices(self, step: int) -> Int[Tensor, " batch"]:
        """Indices of the batch of a step, which may span epochs."""
        positions = torch.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs = positions // self.count
        wanted = range(int(epochs[0]), int(epochs[-1]) + 1)
        self._epochs = {e: self._epochs[e] if e in self._epochs else self._shuffle(e) for e in wanted}
        return torch.cat([self._epochs[e][positions[epochs == e] % self.count] for e in wanted])

    def _shuffle(self, epoch: int) -> Tensor:
        return torch.randperm(self.count, generator=step_generator(self.seed, epoch, self.STREAM))
