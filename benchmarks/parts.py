"""Where the time of a training step goes: its parts, each timed by itself.

A step draws every image twice: without gradient for the discriminator, and with gradient for the generator;
or three times, where the image is back-propagated in patches.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.published import Training
from benchmarks.timing import Clock
from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.networks.layers import Film
from gram.training.losses import generator_loss, pose_loss
from gram.training.step import discriminator_step


class Part(NamedTuple):
    """Milliseconds an image."""

    name: str
    milliseconds: float


def parts_of_a_step(training: Training, clock: Clock) -> list[Part]:
    """In the order in which they happen; rendering first, then the discriminator, then updates."""
    count, case = training.case.at_once, training.case
    fakes = training.fakes(count)
    rows = slice(0, count)
    without_gradient = 1 if case.patches == 1 else 2

    def draw() -> None:
        fakes.render_detached(keep=False)

    def learn() -> None:
        images = fakes.render(rows)
        fakes.backward(rows, images, torch.ones_like(images))

    drawing = clock.time(draw).median + clock.time(learn).median
    inside = _inside_of_drawing(training, clock, without_gradient)
    rest = Part("compositing, and the rest of drawing", _each(drawing, count) - sum(p[1] for p in inside))
    training.state.generator.zero_grad()
    return [*inside, rest, *_discriminator(training, clock), _updates(training, clock)]


def _inside_of_drawing(training: Training, clock: Clock, without_gradient: int) -> list[Part]:
    """The sampler and the radiance field on the rays of one patch, times the number of patches."""
    count, case, generator = training.case.at_once, training.case, training.state.generator
    rays = _rays_of_a_patch(training)
    film = generator.mapping(torch.randn(count, generator.z_dim).to(training.device))
    arguments = _arguments_of_radiance(training, film, rays)

    def sample() -> tuple[Tensor, ...]:
        return (generator.sampler.sample(rays).t,)

    def radiance() -> tuple[Tensor, ...]:
        return generator.radiance(*arguments)

    parts = []
    for name, forward in (("intersections", sample), ("radiance field", radiance)):
        with torch.no_grad():
            drawn = clock.time(forward).median
        learned, backward = clock.time(forward).median, clock.time_backward(forward).median
        ways = (("forward", without_gradient * drawn + learned), ("backward", backward))
        parts += [Part(f"{name}, {way}", _each(case.patches * seconds, count)) for way, seconds in ways]
    return parts


def _rays_of_a_patch(training: Training) -> Rays:
    case, generator = training.case, training.state.generator
    poses = training.prior.sample(case.at_once).to(training.device)
    rays = pixel_rays(look_at_origin(poses), size=case.size, fov=generator.fov)
    some = case.size**2 // case.patches
    return rays.rows(slice(None), slice(some)).map(torch.Tensor.contiguous)


def _arguments_of_radiance(training: Training, film: Film, rays: Rays) -> tuple[Any, ...]:
    """What the generator asks its radiance field for; points and latents with gradient, as in training."""
    generator, seen = training.state.generator, []
    hook = generator.radiance.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    generator.pixels(film, rays)
    hook.remove()
    points, directions, film, *more = seen[0]
    leaves = film.map(lambda part: part.detach().requires_grad_())
    return (points.detach().requires_grad_(), directions, leaves, *more)


def _discriminator(training: Training, clock: Clock) -> list[Part]:
    state, settings, count = training.state, training.settings, training.case.batch
    images = training.reals.images[:count].float() / 127.5 - 1.0
    poses = training.reals.poses[:count]
    fakes = training.fakes(count).render_detached(keep=False)[:, :3]
    without = replace(settings, r1_weight=0.0)
    state.step = 0  # R1 is due

    def judge() -> None:
        own = fakes[: training.case.at_once].detach().requires_grad_()
        logits, predicted = state.precision.discriminate(state.discriminator, own)
        loss = generator_loss(logits) + settings.pose_weight * pose_loss(predicted, poses[: len(own)])
        torch.autograd.grad(state.precision.scale(loss), own)

    def step(how: Any) -> float:
        def work() -> None:
            discriminator_step(state, images, poses, fakes, poses, how)
            state.precision.update()

        return _each(clock.time(work).median, count)

    plain, whole = step(without), step(settings)
    judged = _each(clock.time(judge).median, training.case.at_once)
    return [
        Part("discriminator step without R1", plain),
        Part("R1", (whole - plain) / settings.r1_every),
        Part("generator's way through the discriminator", judged),
    ]


def _updates(training: Training, clock: Clock) -> Part:
    """The generator's optimiser and its averages; the discriminator's is in its step."""
    state = training.state
    for parameter in state.generator.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def update() -> None:
        state.precision.unscale(state.generator_optimizer)
        state.precision.step(state.generator_optimizer)
        state.precision.update()
        for ema in state.emas:
            ema.update_parameters(state.generator)

    return Part("generator's optimiser and averages", _each(clock.time(update).median, training.case.batch))


def _each(seconds: float, images: int) -> float:
    return 1000.0 * seconds / images
