"""How far pictures of a generator are from real ones, measured alike while it is trained and afterwards."""

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
    """Progress that nobody sees."""
    yield lambda done: None


class Evaluator:
    """Measures generators against the same real pictures, from the same latents and poses.

    Args:
        dataset: real pictures, of the size that is generated.
        prior: where the cameras of generated pictures stand.
        extractor: of the features that are compared.
        images: pictures on each side; fewer where there are fewer real ones.
        seed: of the choice of real pictures, of latents and of poses.
        psi: truncation of generated pictures; 1 is none.
        batch_size: pictures at a time.
        kept: folder of features that will be asked for again.
        show: progress of a task with a name and a total, as a context that gives a function of what is done.
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
        # Disjoint parts of the real pictures are the ends of an order that mixes whatever they are sorted by.
        self._order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed)).tolist()
        reals = dataset.load_images(self._order[: self.count])
        self._reals = self._features(reals, "real pictures", keep=True)
        self._common = {"seed": seed, "reals": "training split", "data_hash": dataset.content_hash}

    def measure(
        self, generator: Generator, weights: str, *, metrics: Sequence[str] = METRICS, keep: bool = False
    ) -> Measurement:
        """Distances of a generator's pictures.

        Args:
            generator: in evaluation mode.
            weights: which weights it has, for the protocol.
            metrics: see `gram.metrics.compare`.
            keep: whether the same weights will be measured again.
        """
        fakes = self._features(self._generated(generator), f"pictures, {weights} weights", keep=keep)
        sampler = generator.sampler
        protocol = {**self._common, "psi": self._psi, "poses": str(self._prior), "weights": weights}
        protocol |= {"points_per_ray": sampler.points_per_ray, "random_points": sampler.stochastic}
        return compare(fakes, self._reals, metrics=metrics, protocol=protocol)

    def measurable(self, count: int | None = None) -> list[str]:
        """Metrics that so many pictures on each side suffice for, as many as are compared unless told."""
        there = self.count if count is None else count
        return [metric for metric, fewest in SMALLEST_SET.items() if there >= fewest]

    @property
    def half(self) -> int:
        """Real pictures on each side where they are compared with each other."""
        return min(self.count, len(self._dataset) // 2)

    def real_against_real(self, *, metrics: Sequence[str] = METRICS) -> Measurement:
        """Distances of other real pictures: what a perfect generator would reach."""
        half = self.half
        images = self._dataset.load_images(self._order[len(self._dataset) - half :])
        others = self._features(images, "other real pictures", keep=True)
        protocol = {**self._common, "fakes": "other real pictures"}
        return compare(others, self._reals[:half], metrics=metrics, protocol=protocol)

    def _generated(self, generator: Generator) -> Tensor:
        """Pictures, uint8 (count, 3, size, size)."""
        rng = torch.Generator().manual_seed(self._seed)
        device = next(generator.parameters()).device
        z = torch.randn(self.count, generator.z_dim, generator=rng).to(device).split(self._batch_size)
        poses = self._prior.sample(self.count, generator=rng).to(device).split(self._batch_size)
        seeds = torch.randint(2**31, (self.count,), generator=rng).to(device).split(self._batch_size)
        drawn: list[Tensor] = []
        with self._show("generate", self.count) as update:
            for some_z, some_poses, some_seeds in zip(z, poses, seeds, strict=True):
                rendered = generator.render(
                    some_z, some_poses, size=self._dataset.size, psi=self._psi, noise=Noise(some_seeds)
                )
                drawn.append(quantised(rendered.image).cpu())
                update(sum(map(len, drawn)))
        return torch.cat(drawn)

    def _features(self, images: Tensor, what: str, *, keep: bool) -> Features:
        with self._show(f"features of {what}", len(images)) as update:
            return extract_features(
                images,
                self._extractor,
                batch_size=self._batch_size,
                cache_dir=self._kept if keep else None,
                progress=lambda done, _: update(done),
            )
