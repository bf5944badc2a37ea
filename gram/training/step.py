"""The adversarial training step and the loop around it (GRAM, section 3.4).

Every process holds all weights, draws the randomness of the whole batch and works on its share of it.
Gradients are accumulated in parts and averaged over the processes once for each update.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, get_total_norm

from gram.geometry.poses import PosePrior, mirror_poses
from gram.rendering.samplers import Noise
from gram.shapes import Float, UInt8
from gram.system.threads import map_on_cores, split_evenly
from gram.training.background import border_loss, edge_loss, foreground_loss
from gram.training.batches import EpochSampler, step_generator
from gram.training.distributed import ALONE, Processes
from gram.training.fakes import Fakes
from gram.training.losses import discriminator_loss, generator_loss, pose_loss, r1_penalty
from gram.training.state import TrainingSettings, TrainingState

SAMPLING_STREAM = 2
"""Of the noise of samplers."""

Metrics = dict[str, Tensor]
Work = Callable[[slice], tuple[Metrics, list[Tensor]]]
"""Metrics and tensors for some rows of a batch, both means over these rows."""


@dataclass(frozen=True, kw_only=True)
class Reals:
    """Real images on the training device."""

    images: UInt8[Tensor, "count 3 size size"]
    poses: Float[Tensor, "count 2"]


def discriminator_step(
    state: TrainingState,
    reals: Tensor,
    real_poses: Tensor,
    fakes: Tensor,
    fake_poses: Tensor,
    settings: TrainingSettings,
    processes: Processes = ALONE,
) -> Metrics:
    """One update of D on reals and (detached) fakes."""
    with_r1 = state.step % settings.r1_every == 0 and settings.r1_weight > 0
    parameters = list(state.discriminator.parameters())
    precision = state.precision

    def work(rows: slice) -> tuple[Metrics, list[Tensor]]:
        own_reals = reals[rows].detach().requires_grad_(with_r1)
        real_logits, real_predicted = precision.discriminate(
            state.discriminator, own_reals, twice_differentiated=with_r1
        )
        fake_logits, fake_predicted = precision.discriminate(state.discriminator, fakes[rows].detach())
        metrics = {
            "loss/discriminator": discriminator_loss(real_logits, fake_logits),
            "pose/real": pose_loss(real_predicted, real_poses[rows]),
            "pose/fake": pose_loss(fake_predicted, fake_poses[rows]),
            "logits/real": real_logits.mean(), "logits/fake": fake_logits.mean(),
        }  # fmt: skip
        if with_r1:
            metrics["r1"] = r1_penalty(real_logits, own_reals)
        loss = metrics["loss/discriminator"] + settings.real_pose_weight * metrics["pose/real"]
        loss = loss + settings.pose_weight * metrics["pose/fake"]
        loss = loss + settings.r1_weight * settings.r1_every * metrics.get("r1", loss.new_zeros(()))
        return metrics, list(torch.autograd.grad(precision.scale(loss), parameters))

    metrics, gradients = _average_over_batch(work, len(reals), settings.micro_batch, reals.device)
    gradients = [_laid_out_as(p, gradient) for p, gradient in zip(parameters, gradients, strict=True)]
    processes.average(gradients)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    precision.unscale(state.discriminator_optimizer)
    metrics["gradient/discriminator"] = get_total_norm(gradients)
    precision.step(state.discriminator_optimizer)
    return metrics


def generator_step(
    state: TrainingState, fakes: Fakes, settings: TrainingSettings, processes: Processes = ALONE
) -> Metrics:
    """One update of G through D(fakes), and of its averages."""
    state.generator_optimizer.zero_grad()
    parts: list[Metrics] = []
    shares: list[float] = []
    for rows in fakes.micro_batches():
        images = fakes.render(rows)
        metrics, gradient = _judge(state, images, fakes.poses[rows], settings)
        shares.append(len(images) / len(fakes.z))
        fakes.backward(rows, images, gradient * shares[-1])
        if settings.foreground is not None:
            film, seen = state.generator.mapping(fakes.z[rows]), images[:, :3]
            metrics["loss/border"] = border_loss(state.generator, film, fakes.poses[rows], seen)
            loss = settings.border_weight * shares[-1] * metrics["loss/border"]
            state.precision.scale(loss).backward()
        parts.append(metrics)
    parameters = [p for p in state.generator.parameters() if p.grad is not None]
    processes.average([p.grad for p in parameters if p.grad is not None])
    state.precision.unscale(state.generator_optimizer)
    metrics = {name: _mean((m[name] for m in parts), shares) for name in parts[0]}
    metrics["gradient/generator"] = clip_grad_norm_(parameters, settings.grad_clip)
    state.precision.step(state.generator_optimizer)
    state.precision.update()
    for ema in state.emas:
        ema.update_parameters(state.generator)
    return metrics


def _judge(
    state: TrainingState, images: Tensor, poses: Tensor, settings: TrainingSettings
) -> tuple[Metrics, Tensor]:
    """What D says of images (batch, 4, size, size), and the (scaled) derivative of G's loss by them."""
    gradient = torch.empty_like(images)

    def work(rows: slice) -> tuple[Metrics, list[Tensor]]:
        own = images[rows].detach().requires_grad_()
        logits, predicted = state.precision.discriminate(state.discriminator, own[:, :3])
        metrics = {"loss/generator": generator_loss(logits)}
        loss = metrics["loss/generator"] + settings.pose_weight * pose_loss(predicted, poses[rows])
        if settings.foreground is not None:
            metrics["loss/foreground"] = foreground_loss(own[:, 3], settings.foreground)
            metrics["loss/edge"] = edge_loss(own[:, 3])
            loss = loss + settings.foreground_weight * metrics["loss/foreground"]
            loss = loss + settings.edge_weight * metrics["loss/edge"]
        (by_image,) = torch.autograd.grad(state.precision.scale(loss), own)
        gradient[rows] = by_image * (len(own) / len(images))
        return metrics, []

    metrics, _ = _average_over_batch(work, len(images), 0, images.device)
    return metrics, gradient


def _average_over_batch(
    work: Work, count: int, micro_batch: int, device: torch.device
) -> tuple[Metrics, list[Tensor]]:
    """Means over a batch of what `work` gives for some rows: a micro-batch at a time, one part a core."""
    cores = torch.get_num_threads() if device.type == "cpu" else 1
    totals: tuple[Metrics, list[Tensor]] | None = None
    for start in range(0, count, micro_batch or count):
        rows = range(start, min(start + (micro_batch or count), count))
        parts = [slice(part[0], part[-1] + 1) for part in split_evenly(rows, cores)]
        metrics, tensors = _average_over_cores(work, parts)
        if len(rows) == count:
            return metrics, tensors
        share = len(rows) / count
        if totals is None:
            totals = {k: v * share for k, v in metrics.items()}, [t.mul_(share) for t in tensors]
        else:
            totals = (
                {k: totals[0][k] + v * share for k, v in metrics.items()},
                [total.add_(t, alpha=share) for total, t in zip(totals[1], tensors, strict=True)],
            )
    assert totals is not None, "a batch has rows"
    return totals


def _average_over_cores(work: Work, parts: list[slice]) -> tuple[Metrics, list[Tensor]]:
    results = map_on_cores(work, parts)
    count = sum(part.stop - part.start for part in parts)
    shares = [(part.stop - part.start) / count for part in parts]
    metrics = {name: _mean((m[name] for m, _ in results), shares) for name in results[0][0]}
    return metrics, [_mean(tensors, shares) for tensors in zip(*(t for _, t in results), strict=True)]


def _mean(values: Iterable[Tensor], shares: list[float]) -> Tensor:
    return torch.stack([share * v.detach() for share, v in zip(shares, values, strict=True)]).sum(0)


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the memory layout of its parameter, which fused Adam needs on a GPU."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def train_step(
    state: TrainingState,
    reals: Reals,
    prior: PosePrior,
    sampler: EpochSampler,
    settings: TrainingSettings,
    processes: Processes = ALONE,
) -> Metrics:
    """One D step and one G step; metrics are means over this process's share of the batch."""
    own = processes.share(settings.batch_size)
    rng = step_generator(settings.seed, state.step)
    images, image_poses = _draw_reals(reals, sampler.indices(state.step), rng, settings, own)
    state.generator.sampler.learn(state.step % settings.manifold_every == 0)
    sampling = step_generator(settings.seed, state.step, SAMPLING_STREAM)

    def draw() -> Fakes:
        z = torch.randn(settings.batch_size, state.generator.z_dim, generator=rng)[own].to(images.device)
        poses = prior.sample(settings.batch_size, generator=rng)[own].to(images.device)
        return Fakes(
            state.generator, z, poses,
            size=images.shape[-1], micro_batch=settings.micro_batch or len(z), patches=settings.patches,
            noise=_noise(state, settings, sampling, own, images.device),
        )  # fmt: skip

    fakes = draw()
    shown = fakes.show(again=settings.share_fakes)[:, :3]
    metrics = discriminator_step(state, images, image_poses, shown, fakes.poses, settings, processes)
    if not settings.share_fakes:
        fakes = draw()
    return metrics | generator_step(state, fakes, settings, processes)


def _noise(
    state: TrainingState,
    settings: TrainingSettings,
    rng: torch.Generator,
    own: slice,
    device: torch.device,
) -> Noise | None:
    """Of a stochastic sampler, for this process's share of a batch."""
    if not state.generator.sampler.stochastic:
        return None
    return Noise(torch.randint(2**31, (settings.batch_size,), generator=rng)[own].to(device))


def fit(
    state: TrainingState,
    reals: Reals,
    prior: PosePrior,
    settings: TrainingSettings,
    *,
    steps: int,
    processes: Processes = ALONE,
) -> Iterator[tuple[int, Metrics]]:
    """Train until `steps` steps are done, yielding (steps done, metrics of this process) after each.

    Raises:
        ValueError: images cannot be cut into that many patches, or the batch not shared out to the processes.
    """
    if reals.images.shape[-1] ** 2 % settings.patches:
        size = reals.images.shape[-1]
        raise ValueError(
            f"images of {size} x {size} pixels cannot be cut into {settings.patches} equal patches: "
            f"choose a divisor of {size * size}"
        )
    sampler = EpochSampler(len(reals.images), settings.batch_size, seed=settings.seed)
    while state.step < steps:
        metrics = train_step(state, reals, prior, sampler, settings, processes)
        state.step += 1
        yield state.step, metrics


def _draw_reals(
    reals: Reals, indices: Tensor, rng: torch.Generator, settings: TrainingSettings, own: slice
) -> tuple[Float[Tensor, "batch 3 size size"], Float[Tensor, "batch 2"]]:
    """This process's images in [-1, 1] and poses, half of them mirrored."""
    mirrored = (torch.rand(len(indices), generator=rng) < 0.5) & settings.mirror
    indices, mirrored = indices[own].to(reals.images.device), mirrored[own].to(reals.images.device)
    images = reals.images[indices].float() / 127.5 - 1.0
    poses = reals.poses[indices]
    return (
        torch.where(mirrored[:, None, None, None], images.flip(-1), images),
        torch.where(mirrored[:, None], mirror_poses(poses), poses),
    )
