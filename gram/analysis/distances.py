"""Evaluator of FID and related metrics of a generator, the same during and after training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch
from torch import Tensor

from gram.data.reader import ImageDataset
from gram.geometry.poses import PosePrior
from gram.metrics import Extractor, Features, Measurement, compare, extract_features
from gram.metrics.fidelity import METRICS, SMALLEST_SET
from gram.model.generator import Generator, quantised
from gram.rendering.samplers import Noise

Show = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def _hidden(task: str, total: int) -> Iterator[Callable[[int], None]]:
    """Ignore progress."""
    yield lambda done: None


class Evaluator:
    """Evaluator of generators with the same real images, latents and poses.

    Args:
        dataset: real images at the generated size.
        prior: prior of the camera poses of generated images.
        extractor: feature extractor.
        images: number of real and of generated images; at most that of the data set.
        seed: seed of the choice of real images, of latents and of poses.
        psi: truncation of generated images; 1 is none.
        batch_size: images at a time.
        kept: folder of cached features.
        show: progress of a task by name and total, a context manager that yields a function of the count.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        prior: PosePrior,
        extractor: Extractor,
        *,
        images: int,
        seed: int,
        psi: float,
        batch_size: int,
        kept: Path,
        show: Show | None = None,
    ) -> None:
        self.count = min(images, len(dataset))
        self._dataset, self._prior, self._extractor = dataset, prior, extractor
        self._seed, self._psi, self._batch_size = seed, psi, batch_size
        self._kept, self._show = kept, show or _hidden
        # shuffled order, whose two ends are disjoint sets of real images
        self._order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed)).tolist()
        reals = dataset.load_images(self._order[: self.count])
        self._reals = self._features(reals, "real images", keep=True)
        self._common = {"seed": seed, "reals": "training split", "data_hash": dataset.content_hash}

    def measure(
        self, generator: Generator, weights: str, *, metrics: Sequence[str] = METRICS, keep: bool = False
    ) -> Measurement:
        """Measure a generator's images.

        Args:
            generator: generator in evaluation mode.
            weights: name of its weights, for the protocol.
            metrics: see `gram.metrics.compare`.
            keep: cache features for another measurement of the same weights.
        """
        fakes = self._features(self._generated(generator), f"images, {weights} weights", keep=keep)
        sampler = generator.sampler
        protocol = {**self._common, "psi": self._psi, "poses": str(self._prior), "weights": weights}
        protocol |= {"points_per_ray": sampler.points_per_ray, "random_points": sampler.stochastic}
        return compare(fakes, self._reals, metrics=metrics, protocol=protocol)

    def measurable(self, count: int | None = None) -> list[str]:
        """Metrics that are defined for `count` images on each side, by default the evaluator's."""
        images = self.count if count is None else count
        return [metric for metric, fewest in SMALLEST_SET.items() if images >= fewest]

    @property
    def half(self) -> int:
        """Number of real images on each side of `real_against_real`."""
        return min(self.count, len(self._dataset) // 2)

    def real_against_real(self, *, metrics: Sequence[str] = METRICS) -> Measurement:
        """Measure other real images, the result of a perfect generator."""
        half = self.half
        images = self._dataset.load_images(self._order[len(self._dataset) - half :])
        others = self._features(images, "other real images", keep=True)
        protocol = {**self._common, "fakes": "other real pictures"}
        return compare(others, self._reals[:half], metrics=metrics, protocol=protocol)

    def _generated(self, generator: Generator) -> Tensor:
        """Render images, uint8 (count, 3, size, size)."""
        rng = torch.Generator().manual_seed(self._seed)
        device = next(generator.parameters()).device
        z = torch.randn(self.count, generator.z_dim, generator=rng).to(device).split(self._batch_size)
        poses = self._prior.sample(self.count, generator=rng).to(device).split(self._batch_size)
        seeds = torch.randint(2**31, (self.count,), generator=rng).to(device).split(self._batch_size)
        batches: list[Tensor] = []
        with self._show("generate", self.count) as update:
            for some_z, some_poses, some_seeds in zip(z, poses, seeds, strict=True):
                rendered = generator.render(
                    some_z, some_poses, size=self._dataset.size, psi=self._psi, noise=Noise(some_seeds)
                )
                batches.append(quantised(rendered.image).cpu())
                update(sum(map(len, batches)))
        return torch.cat(batches)

    def _features(self, images: Tensor, name: str, *, keep: bool) -> Features:
        with self._show(f"features of {name}", len(images)) as update:
            return extract_features(
                images,
                self._extractor,
                batch_size=self._batch_size,
                cache_dir=self._kept if keep else None,
                progress=lambda done, _: update(done),
            )
