"""Inversion: the latent whose pictures are those of given views, found by gradient.

A latent starts as the best of a few hundred random ones, for gradients lead nowhere without a rough likeness,
and follows

    mean ((image - target) / 2)^2 + prior_weight * |z|^2 / z_dim

downhill: the error of the pixels, colours in [0, 1], and the prior N(0, I), which keeps the sides that no
view shows those of a head. *Tuning* afterwards fits the weights of the radiance field, in a copy, to what no
latent draws (pivotal tuning, arXiv 2106.05744).
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
"""Random latents that are tried as starts, each by every second pixel along both sides."""
STRIDE = 2
BETAS = (0.9, 0.95)
"""Of Adam, whose rates fall to 0 by half a cosine."""


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """What was found for some subjects.

    Attributes:
        z: their latents.
        start: where these started.
        loss: what was minimised, before each update of the latents.
        tuned: for each subject a generator that draws it by its latent; none unless asked for.
        tuning_loss: error of the pixels before each update of its weights.
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
    """Latents of subjects that were seen in one view or more each. The generator stays as it is.

    Subjects have no influence on each other; together they are faster.

    Args:
        generator: draws them.
        images: square pictures in [-1, 1].
        poses: (pitch, yaw) of the camera of every picture, radians.
        steps: updates of the latents.
        learning_rate: of Adam at the start.
        prior_weight: of the prior, see the module.
        candidates: random latents that are tried as starts.
        tuning: updates of the radiance field after that, for each subject.
        tuning_rate: of Adam at the start.
        seed: of the candidates.
        max_rays: bounds the memory, changes nothing else.
        progress: called with (updates done, updates in all).

    Raises:
        ValueError: pictures that are not square, no picture at all, another number of poses, or no step.
    """
    _check(images, poses, steps, candidates)
    targets = _Targets.of(generator, images, poses)
    rng = torch.Generator().manual_seed(seed)
    tried = torch.randn(candidates, generator.z_dim, generator=rng).to(images)
    start = torch.stack([one.best(generator, tried, max_rays) for one in targets.each()])
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
        _tune(generator, one, latent, steps=tuning, rate=tuning_rate, tick=tick, max_rays=max_rays)
        for one, latent in (zip(targets.each(), z, strict=True) if tuning else ())
    ]
    return Inversion(
        z=z,
        start=start,
        loss=loss,
        tuned=tuple(twin for twin, _ in fits),
        tuning_loss=torch.cat([curve for _, curve in fits], 1) if fits else loss.new_zeros(0, len(z)),
    )


def _check(images: Tensor, poses: Tensor, steps: int, candidates: int) -> None:
    subjects, views, _, height, width = images.shape
    if height != width:
        raise ValueError(f"the pictures are {width} x {height}: cameras take square ones, crop them")
    if subjects * views == 0:
        raise ValueError(f"there are no pictures: {subjects} subjects with {views} views each")
    if poses.shape[:-1] != images.shape[:2]:
        raise ValueError(
            f"poses of shape {tuple(poses.shape)} for {subjects} subjects with {views} views each: "
            "give every picture its (pitch, yaw)"
        )
    if steps < 1 or candidates < 1:
        raise ValueError(f"steps = {steps}, candidates = {candidates}: at least one of each is needed")


@dataclass(frozen=True)
class _Targets:
    """The pixels of all views of some subjects, and their samples, in which no latent has a part."""

    colors: Float[Tensor, "subjects n 3"]  # in [0, 1]
    rays: Rays
    samples: Samples
    size: int  # pixels along one side of a view

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Generator, images: Tensor, poses: Tensor) -> "_Targets":
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
        """Every subject alone."""
        return (self._take(slice(i, i + 1), slice(None)) for i in range(len(self.colors)))

    def errors(
        self, generator: Generator, film: Callable[[], Film], max_rays: int
    ) -> Iterator[Float[Tensor, " subjects"]]:
        """Mean squared errors of the subjects' pixels, in parts that add up to them."""
        subjects, number, _ = self.colors.shape
        some = max(1, max_rays // subjects)
        for first in range(0, number, some):
            part = self._take(slice(None), slice(first, first + some))
            yield part._squares(generator, film()) / (3 * number)

    def _squares(self, generator: Generator, film: Film) -> Float[Tensor, " subjects"]:
        def radiance(points: Tensor, directions: Tensor, hit: Tensor) -> tuple[Tensor, Tensor]:
            return generator.radiance(points, directions, film, hit)

        seen = shade(generator.sampler, radiance, self.rays, samples=self.samples)
        return (seen.rgb - self.colors).square().sum((1, 2))

    @torch.no_grad()
    def best(self, generator: Generator, tried: Tensor, max_rays: int) -> Float[Tensor, " z_dim"]:
        """The latent that looks most like the only subject."""
        pixel = torch.arange(self.colors.shape[1], device=tried.device)
        some = (pixel // self.size % STRIDE == 0) & (pixel % self.size % STRIDE == 0)
        seen = self._take(slice(None), some)
        errors = []
        for part in tried.split(max(1, max_rays // int(some.sum()))):
            of_each = seen._take(torch.zeros(len(part), dtype=torch.long), slice(None))
            errors.append(of_each._squares(generator, generator.mapping(part)))
        return tried[torch.cat(errors).argmin()]


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
    """A copy whose radiance field draws the only subject, and the errors on the way."""
    twin = copy.deepcopy(generator).requires_grad_(False)
    twin.radiance.requires_grad_(True)
    film = twin.mapping(z[None])
    curve = _descend(
        list(twin.radiance.parameters()),
        lambda: target.errors(twin, lambda: film, max_rays),
        steps=steps,
        rate=rate,
        tick=tick,
    )
    return twin.requires_grad_(False), curve


def _descend(
    parameters: Sequence[Tensor],
    terms: Callable[[], Iterator[Tensor]],
    *,
    steps: int,
    rate: float,
    tick: Callable[[], None],
) -> Float[Tensor, "steps subjects"]:
    """Move parameters downhill in place.

    Args:
        parameters: leaves; no other tensor gets a gradient.
        terms: of the loss of every subject, one after the other so that only one is in memory.
        steps: updates.
        rate: of Adam at the start.
        tick: called after each.
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
