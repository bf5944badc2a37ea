"""Inversion: the latent that reproduces given views, by gradient descent.

A latent starts as the best of a few hundred random ones, since gradients need a rough likeness, and minimises

    mean ((image - target) / 2)^2 + prior_weight * |z|^2 / z_dim,

the error of the pixels, colours in [0, 1], and the prior N(0, I), which keeps invisible sides plausible.
*Tuning* then fits the weights of the radiance field, in a copy, to the remaining differences (pivotal tuning,
arXiv 2106.05744).
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.model.generator import Generator
from gram.networks.layers import Film
from gram.rendering.render_rays import shade
from gram.rendering.samplers import Samples
from gram.shapes import Float

CANDIDATES = 256
"""Number of random latents evaluated as starts, on every second pixel along both sides."""
STRIDE = 2
BETAS = (0.9, 0.95)
"""Adam's betas; its learning rate decays to 0 by half a cosine."""


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """Result of an inversion.

    Attributes:
        z: latents of the subjects.
        start: initial latents.
        loss: loss before each update of the latents.
        tuned: tuned generator of each subject; empty without tuning.
        tuning_loss: error of the pixels before each update of the weights.
    """

    z: Float[Tensor, "subjects z_dim"]
    start: Float[Tensor, "subjects z_dim"]
    loss: Float[Tensor, "steps subjects"]
    tuned: tuple[Generator, ...]
    tuning_loss: Float[Tensor, "tuning subjects"]


def invert(
    generator: Generator,
    images: Float[Tensor, "subjects views 3 height width"],
    poses: Float[Tensor, "*subjects_views 2"],
    *,
    steps: int,
    learning_rate: float = 0.1,
    prior_weight: float = 1e-3,
    candidates: int = CANDIDATES,
    tuning: int = 0,
    tuning_rate: float = 1e-3,
    seed: int = 0,
    max_rays: int = 2**15,
    progress: Callable[[int, int], None] | None = None,
) -> Inversion:
    """Invert subjects with one or more views each. The generator is not changed.

    Subjects are independent; together they are faster.

    Args:
        generator: generator of the subjects.
        images: square images in [-1, 1].
        poses: (pitch, yaw) of the camera of every image, radians.
        steps: updates of the latents.
        learning_rate: initial learning rate of Adam.
        prior_weight: weight of the prior, see the module.
        candidates: number of random latents evaluated as starts.
        tuning: updates of the radiance field after that, for each subject.
        tuning_rate: initial learning rate of the tuning.
        seed: seed of the candidates.
        max_rays: rays rendered at once, bounds memory.
        progress: called with (updates done, updates in total).

    Raises:
        ValueError: images are not square or missing, the number of poses differs, or no steps.
    """
    _check(images, poses, steps, candidates)
    # starts
    targets = _Targets.build(generator, images, poses)
    rng = torch.Generator().manual_seed(seed)
    latents = torch.randn(candidates, generator.z_dim, generator=rng).to(images)
    start = torch.stack([target.best(generator, latents, max_rays) for target in targets.each()])
    z = start.clone().requires_grad_()
    updates = itertools.count(1)

    def tick() -> None:
        if progress is not None:
            progress(next(updates), steps + tuning * len(start))

    def terms() -> Iterator[Tensor]:
        yield prior_weight * z.square().mean(1)
        yield from targets.errors(generator, lambda: generator.mapping(z), max_rays)

    loss = _descend([z], terms, steps=steps, rate=learning_rate, tick=tick)
    z = z.detach()
    fits = [
        _tune(generator, target, latent, steps=tuning, rate=tuning_rate, tick=tick, max_rays=max_rays)
        for target, latent in (zip(targets.each(), z, strict=True) if tuning else ())
    ]
    return Inversion(
        z=z,
        start=start,
        loss=loss,
        tuned=tuple(tuned for tuned, _ in fits),
        tuning_loss=torch.cat([curve for _, curve in fits], 1) if fits else loss.new_zeros(0, len(z)),
    )


def _check(images: Tensor, poses: Tensor, steps: int, candidates: int) -> None:
    subjects, views, _, height, width = images.shape
    if height != width:
        raise ValueError(f"the images are {width} x {height}: cameras take square ones, crop them")
    if subjects * views == 0:
        raise ValueError(f"there are no images: {subjects} subjects with {views} views each")
    if poses.shape[:-1] != images.shape[:2]:
        raise ValueError(
            f"poses of shape {tuple(poses.shape)} for {subjects} subjects with {views} views each: "
            "give every image its (pitch, yaw)"
        )
    if steps < 1 or candidates < 1:
        raise ValueError(f"steps = {steps}, candidates = {candidates}: at least one of each is needed")


@dataclass(frozen=True)
class _Targets:
    """Pixels of all views of the subjects, and their samples, which do not depend on latents."""

    colors: Float[Tensor, "subjects n 3"]  # in [0, 1]
    rays: Rays
    samples: Samples
    size: int  # image side in pixels

    @classmethod
    @torch.no_grad()
    def build(cls, generator: Generator, images: Tensor, poses: Tensor) -> "_Targets":
        subjects, size = len(images), images.shape[-1]
        rays = pixel_rays(look_at_origin(poses.flatten(0, 1)), size=size, fov=generator.fov)
        rays = rays.map(lambda part: part.reshape(subjects, -1, 3))
        colors = (images.movedim(2, -1).reshape(subjects, -1, 3) + 1.0) / 2.0
        return cls(colors, rays, generator.sampler.sample(rays), size)

    def _take(self, subjects: slice | Tensor, rays: slice | Tensor) -> "_Targets":
        return _Targets(
            self.colors[subjects, rays],
            self.rays.rows(subjects, rays),
            Samples(*(part[subjects, rays] for part in self.samples)),
            self.size,
        )

    def each(self) -> Iterator["_Targets"]:
        """Iterate over single subjects."""
        return (self._take(slice(i, i + 1), slice(None)) for i in range(len(self.colors)))

    def errors(
        self, generator: Generator, film: Callable[[], Film], max_rays: int
    ) -> Iterator[Float[Tensor, " subjects"]]:
        """Mean squared errors of the subjects' pixels, in parts that sum up to them."""
        subjects, number, _ = self.colors.shape
        count = max(1, max_rays // subjects)
        for first in range(0, number, count):
            part = self._take(slice(None), slice(first, first + count))
            yield part._squares(generator, film()) / (3 * number)

    def _squares(self, generator: Generator, film: Film) -> Float[Tensor, " subjects"]:
        def radiance(points: Tensor, directions: Tensor, hit: Tensor) -> tuple[Tensor, Tensor]:
            return generator.radiance(points, directions, film, hit)

        rendered = shade(generator.sampler, radiance, self.rays, samples=self.samples)
        return (rendered.rgb - self.colors).square().sum((1, 2))

    @torch.no_grad()
    def best(self, generator: Generator, latents: Tensor, max_rays: int) -> Float[Tensor, " z_dim"]:
        """Latent with the least error for a single subject."""
        pixel = torch.arange(self.colors.shape[1], device=latents.device)
        chosen = (pixel // self.size % STRIDE == 0) & (pixel % self.size % STRIDE == 0)
        coarse = self._take(slice(None), chosen)
        errors = []
        for part in latents.split(max(1, max_rays // int(chosen.sum()))):
            repeated = coarse._take(torch.zeros(len(part), dtype=torch.long), slice(None))
            errors.append(repeated._squares(generator, generator.mapping(part)))
        return latents[torch.cat(errors).argmin()]


def _tune(
    generator: Generator,
    target: _Targets,
    z: Float[Tensor, " z_dim"],
    *,
    steps: int,
    rate: float,
    tick: Callable[[], None],
    max_rays: int,
) -> tuple[Generator, Float[Tensor, "steps 1"]]:
    """Tune the radiance field of a copy to a single subject; return it and the errors before each update."""
    tuned = copy.deepcopy(generator).requires_grad_(False)
    tuned.radiance.requires_grad_(True)
    film = tuned.mapping(z[None])
    curve = _descend(
        list(tuned.radiance.parameters()),
        lambda: target.errors(tuned, lambda: film, max_rays),
        steps=steps,
        rate=rate,
        tick=tick,
    )
    return tuned.requires_grad_(False), curve


def _descend(
    parameters: Sequence[Tensor],
    terms: Callable[[], Iterator[Tensor]],
    *,
    steps: int,
    rate: float,
    tick: Callable[[], None],
) -> Float[Tensor, "steps subjects"]:
    """Minimise a loss over parameters, in place.

    Args:
        parameters: leaves; no other tensor gets a gradient.
        terms: generates the terms of the loss of every subject, one at a time to bound memory.
        steps: number of updates.
        rate: initial learning rate of Adam.
        tick: called after each update.
    """
    optimizer = torch.optim.Adam(parameters, lr=rate, betas=BETAS)
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        loss = torch.zeros((), device=parameters[0].device)
        for term in terms():
            term.sum().backward(inputs=parameters)
            loss = loss + term.detach()
        optimizer.step()
        losses.append(loss)
        tick()
    return torch.stack(losses)
