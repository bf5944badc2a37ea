"""Adversarial training (GRAM, section 3.4): the loop, a step, the updates of D and G.

Every process draws the randomness of the whole batch and works on its share, see `gram.training.distributed`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import Optimizer

from gram.geometry.poses import PosePrior, mirror_poses
from gram.rendering.samplers import Noise
from gram.shapes import Float, UInt8
from gram.training.accumulation import Metrics, average_over_batch, map_rows, mean_metrics, with_layout_of
from gram.training.background import border_loss, edge_loss, foreground_loss
from gram.training.batches import EpochSampler, step_generator
from gram.training.distributed import ALONE, Processes
from gram.training.fakes import Fakes
from gram.training.losses import discriminator_loss, generator_loss, pose_loss, r1_penalty
from gram.training.state import TrainingSettings, TrainingState

SAMPLING_STREAM = 2
"""RNG stream of stochastic samplers."""


@dataclass(frozen=True, kw_only=True)
class Reals:
    """Real images on the training device."""

    images: UInt8[Tensor, "count 3 size size"]
    poses: Float[Tensor, "count 2"]


def fit(
    state: TrainingState,
    reals: Reals,
    prior: PosePrior,
    settings: TrainingSettings,
    *,
    steps: int,
    processes: Processes = ALONE,
) -> Iterator[tuple[int, Metrics]]:
    """Train up to `steps` steps, yielding (steps done, metrics of this process) after each.

    Raises:
        ValueError: the number of patches or of processes does not divide the image or the batch.
    """
    _require_patches(reals.images.shape[-1], settings.patches)
    sampler = EpochSampler(len(reals.images), settings.batch_size, seed=settings.seed)
    while state.step < steps:
        metrics = train_step(state, reals, prior, sampler, settings, processes)
        state.step += 1
        yield state.step, metrics


def train_step(
    state: TrainingState,
    reals: Reals,
    prior: PosePrior,
    sampler: EpochSampler,
    settings: TrainingSettings,
    processes: Processes = ALONE,
) -> Metrics:
    """Update D, then G; metrics are means over this process's share of the batch."""
    rows = processes.share(settings.batch_size)
    # randomness of the whole batch, independent of the number of processes
    rng = step_generator(settings.seed, state.step)
    images, image_poses = _draw_reals(reals, sampler.indices(state.step), rng, settings, rows)
    state.generator.sampler.learn(state.step % settings.manifold_every == 0)
    sampling = step_generator(settings.seed, state.step, SAMPLING_STREAM)

    def draw() -> Fakes:
        z = torch.randn(settings.batch_size, state.generator.z_dim, generator=rng)[rows].to(images.device)
        poses = prior.sample(settings.batch_size, generator=rng)[rows].to(images.device)
        return Fakes(
            state.generator, z, poses,
            size=images.shape[-1], micro_batch=settings.micro_batch or len(z), patches=settings.patches,
            noise=_draw_noise(state, settings, sampling, rows, images.device),
        )  # fmt: skip

    # update of D, then of G on the same or on new fakes
    fakes = draw()
    detached = fakes.render_detached(keep=settings.share_fakes)[:, :3]
    metrics = discriminator_step(state, images, image_poses, detached, fakes.poses, settings, processes)
    if not settings.share_fakes:
        fakes = draw()
    return metrics | generator_step(state, fakes, settings, processes)


def discriminator_step(
    state: TrainingState,
    reals: Float[Tensor, "batch 3 size size"],
    real_poses: Float[Tensor, "batch 2"],
    fakes: Float[Tensor, "batch 3 size size"],
    fake_poses: Float[Tensor, "batch 2"],
    settings: TrainingSettings,
    processes: Processes = ALONE,
) -> Metrics:
    """Update D on reals and detached fakes."""
    with_r1 = state.step % settings.r1_every == 0 and settings.r1_weight > 0
    parameters = list(state.discriminator.parameters())

    def work(rows: slice) -> tuple[Metrics, list[Tensor]]:
        batch = reals[rows], real_poses[rows], fakes[rows], fake_poses[rows]
        loss, metrics = _discriminator_loss(state, *batch, settings, with_r1=with_r1)
        return metrics, list(torch.autograd.grad(state.precision.scale(loss), parameters))

    metrics, gradients = average_over_batch(work, len(reals), settings.micro_batch, reals.device)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = with_layout_of(parameter, gradient)
    norm = _update(state, state.discriminator_optimizer, parameters, processes)
    return metrics | {"gradient/discriminator": norm}


def generator_step(
    state: TrainingState, fakes: Fakes, settings: TrainingSettings, processes: Processes = ALONE
) -> Metrics:
    """Update G through D(fakes), and its moving averages."""
    state.generator_optimizer.zero_grad()
    parts: list[Metrics] = []
    fractions: list[float] = []
    for rows in fakes.micro_batches():
        # gradient by the images through D, then through the generator
        images, poses = fakes.render(rows), fakes.poses[rows]
        fractions.append(len(images) / len(fakes.z))
        metrics, gradient = _gradient_by_images(state, images, poses, settings)
        fakes.backward(rows, images, gradient * fractions[-1])
        if settings.foreground is not None:
            film = state.generator.mapping(fakes.z[rows])
            metrics["loss/border"] = border_loss(state.generator, film, poses, images[:, :3])
            loss = settings.border_weight * fractions[-1] * metrics["loss/border"]
            state.precision.scale(loss).backward()
        parts.append(metrics)
    parameters = [p for p in state.generator.parameters() if p.grad is not None]
    norm = _update(state, state.generator_optimizer, parameters, processes, clip=settings.grad_clip)
    state.precision.update()
    for ema in state.emas:
        ema.update_parameters(state.generator)
    return mean_metrics(parts, fractions) | {"gradient/generator": norm}


def _discriminator_loss(
    state: TrainingState,
    reals: Tensor,
    real_poses: Tensor,
    fakes: Tensor,
    fake_poses: Tensor,
    settings: TrainingSettings,
    *,
    with_r1: bool,
) -> tuple[Tensor, Metrics]:
    """Non-saturating loss, pose losses on reals and fakes, and lazy R1, weighted by its interval."""
    reals = reals.detach().requires_grad_(with_r1)
    discriminate = state.precision.discriminate
    real_logits, real_predicted = discriminate(state.discriminator, reals, twice_differentiated=with_r1)
    fake_logits, fake_predicted = discriminate(state.discriminator, fakes.detach())
    metrics = {
        "loss/discriminator": discriminator_loss(real_logits, fake_logits),
        "pose/real": pose_loss(real_predicted, real_poses),
        "pose/fake": pose_loss(fake_predicted, fake_poses),
        "logits/real": real_logits.mean(),
        "logits/fake": fake_logits.mean(),
    }
    if with_r1:
        metrics["r1"] = r1_penalty(real_logits, reals)
    loss = metrics["loss/discriminator"] + settings.real_pose_weight * metrics["pose/real"]
    loss = loss + settings.pose_weight * metrics["pose/fake"]
    return loss + settings.r1_weight * settings.r1_every * metrics.get("r1", loss.new_zeros(())), metrics


def _generator_loss(
    state: TrainingState, images: Tensor, poses: Tensor, settings: TrainingSettings
) -> tuple[Tensor, Metrics]:
    """Non-saturating loss, pose loss, and background losses on opacity, images[:, 3], if enabled."""
    logits, predicted = state.precision.discriminate(state.discriminator, images[:, :3])
    metrics = {"loss/generator": generator_loss(logits)}
    loss = metrics["loss/generator"] + settings.pose_weight * pose_loss(predicted, poses)
    if settings.foreground is not None:
        metrics["loss/foreground"] = foreground_loss(images[:, 3], settings.foreground)
        metrics["loss/edge"] = edge_loss(images[:, 3])
        loss = loss + settings.foreground_weight * metrics["loss/foreground"]
        loss = loss + settings.edge_weight * metrics["loss/edge"]
    return loss, metrics


def _gradient_by_images(
    state: TrainingState, images: Tensor, poses: Tensor, settings: TrainingSettings
) -> tuple[Metrics, Float[Tensor, "batch 4 size size"]]:
    """Metrics of G, and the (scaled) gradient of its loss by the images."""

    def work(rows: slice) -> tuple[Metrics, list[Tensor]]:
        leaves = images[rows].detach().requires_grad_()
        loss, metrics = _generator_loss(state, leaves, poses[rows], settings)
        return metrics, list(torch.autograd.grad(state.precision.scale(loss), leaves))

    metrics, parts, fractions = map_rows(work, range(len(images)), images.device)
    # the loss of each part is a mean over its own rows
    return metrics, torch.cat([part[0] * fraction for part, fraction in zip(parts, fractions, strict=True)])


def _update(
    state: TrainingState,
    optimizer: Optimizer,
    parameters: Sequence[Parameter],
    processes: Processes,
    *,
    clip: float | None = None,
) -> Tensor:
    """Average gradients over the processes, clip them and step; return their norm before clipping."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    processes.average(gradients)
    state.precision.unscale(optimizer)
    norm = get_total_norm(gradients) if clip is None else clip_grad_norm_(parameters, clip)
    state.precision.step(optimizer)
    return norm


def _draw_reals(
    reals: Reals, indices: Tensor, rng: torch.Generator, settings: TrainingSettings, rows: slice
) -> tuple[Float[Tensor, "batch 3 size size"], Float[Tensor, "batch 2"]]:
    """Real images in [-1, 1] and poses of this process's share, half of them mirrored."""
    mirrored = (torch.rand(len(indices), generator=rng) < 0.5) & settings.mirror
    indices, mirrored = indices[rows].to(reals.images.device), mirrored[rows].to(reals.images.device)
    images = reals.images[indices].float() / 127.5 - 1.0
    poses = reals.poses[indices]
    return (
        torch.where(mirrored[:, None, None, None], images.flip(-1), images),
        torch.where(mirrored[:, None], mirror_poses(poses), poses),
    )


def _draw_noise(
    state: TrainingState, settings: TrainingSettings, rng: torch.Generator, rows: slice, device: torch.device
) -> Noise | None:
    """Draw seeds of a stochastic sampler for this process's share of a batch."""
    if not state.generator.sampler.stochastic:
        return None
    return Noise(torch.randint(2**31, (settings.batch_size,), generator=rng)[rows].to(device))


def _require_patches(size: int, patches: int) -> None:
    if size**2 % patches:
        raise ValueError(
            f"images of {size} x {size} pixels cannot be cut into {patches} equal patches: "
            f"choose a divisor of {size**2}"
        )
