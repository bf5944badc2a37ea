"""The adversarial training step and the loop around it (GRAM, section 3.4)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

from gram.discriminator import Discriminator
from gram.ema import averaged_copy
from gram.generator import Generator
from gram.losses import discriminator_loss, generator_loss, pose_loss, r1_penalty
from gram.poses import PosePrior, mirror_poses
from gram.sampling import EpochSampler, step_generator
from gram.shapes import Float, UInt8
from gram.threads import map_on_cores, split_evenly

Metrics = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that shapes a step.

    Attributes:
        batch_size: images per update of each network.
        lr_generator, lr_discriminator, lr_manifold: Adam's learning rates; M has its own.
        betas: Adam's.
        grad_clip: largest norm of the generator's gradient.
        r1_weight: lambda_r1, on `losses.r1_penalty`.
        r1_every: steps between R1 terms, each weighted by this number (lazy regularisation).
        pose_weight, real_pose_weight: of the pose losses on fakes and reals.
        ema_decays: of the averages of the generator.
        mirror: flip half of the reals.
        share_fakes: show D and G the same fakes, rendered once: a quarter less work, but G
            learns on fakes that D has just seen.
        manifold_every: steps between updates of M.
        seed: of all randomness.
    """

    batch_size: int
    lr_generator: float
    lr_discriminator: float
    lr_manifold: float
    betas: tuple[float, float] = (0.0, 0.9)
    grad_clip: float = 1.0
    r1_weight: float = 1.0
    r1_every: int = 1
    pose_weight: float = 15.0
    real_pose_weight: float = 15.0
    ema_decays: tuple[float, float] = (0.999, 0.9999)
    mirror: bool = True
    share_fakes: bool = False
    manifold_every: int = 1
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Reals:
    """Real images on the training device."""

    images: UInt8[Tensor, "count 3 size size"]
    poses: Float[Tensor, "count 2"]


class TrainingState:
    """All that changes while training."""

    def __init__(
        self, generator: Generator, discriminator: Discriminator, settings: TrainingSettings
    ) -> None:
        self.step = 0
        self.generator = generator
        self.discriminator = discriminator
        self.emas = [averaged_copy(generator, decay) for decay in settings.ema_decays]
        manifold = list(generator.sampler.manifold.parameters())
        apart = {id(p) for p in manifold}
        rest = [p for p in generator.parameters() if id(p) not in apart]
        groups = [{"params": rest}, {"params": manifold, "lr": settings.lr_manifold}]
        self.generator_optimizer = Adam(groups, lr=settings.lr_generator, betas=settings.betas, fused=True)
        self.discriminator_optimizer = Adam(
            discriminator.parameters(), lr=settings.lr_discriminator, betas=settings.betas, fused=True
        )

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averages and moments, by name."""
        named = {f"{name}/{k}": v for name, module in self._modules() for k, v in module.state_dict().items()}
        for name, optimizer in self._optimizers():
            moments = optimizer.state_dict()["state"]
            named |= {f"{name}/{i}/{k}": v for i, values in moments.items() for k, v in values.items()}
        return named

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over the values of `tensors()`; learning rates stay those of this object's settings.

        Raises:
            RuntimeError: names or shapes do not fit.
        """
        for name, module in self._modules():
            module.load_state_dict(_below(name, tensors))
        for name, optimizer in self._optimizers():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(name, tensors).items():
                index, _, kind = key.partition("/")
                moments.setdefault(int(index), {})[kind] = value
            optimizer.load_state_dict(
                {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
            )

    def _modules(self) -> list[tuple[str, nn.Module]]:
        averages = [(f"ema{i}", ema) for i, ema in enumerate(self.emas)]
        return [("generator", self.generator), ("discriminator", self.discriminator), *averages]

    def _optimizers(self) -> list[tuple[str, Adam]]:
        return [
            ("generator_optimizer", self.generator_optimizer),
            ("discriminator_optimizer", self.discriminator_optimizer),
        ]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(f"{prefix}/"): v for k, v in tensors.items() if k.startswith(f"{prefix}/")}


def discriminator_step(
    state: TrainingState,
    reals: Tensor,
    real_poses: Tensor,
    fakes: Tensor,
    fake_poses: Tensor,
    settings: TrainingSettings,
) -> Metrics:
    """One update of D on reals and (detached) fakes."""
    with_r1 = state.step % settings.r1_every == 0 and settings.r1_weight > 0
    parameters = list(state.discriminator.parameters())

    def work(rows: slice) -> tuple[Metrics, list[Tensor]]:
        own_reals = reals[rows].detach().requires_grad_(with_r1)
        real_logits, real_predicted = state.discriminator(own_reals)
        fake_logits, fake_predicted = state.discriminator(fakes[rows].detach())
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
        return metrics, list(torch.autograd.grad(loss, parameters))

    metrics, gradients = _average_over_parts(work, reals)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    state.discriminator_optimizer.step()
    return metrics


def generator_step(state: TrainingState, fakes: Tensor, poses: Tensor, settings: TrainingSettings) -> Metrics:
    """One update of G through D(fakes), and of its averages."""
    gradient = torch.empty_like(fakes)

    def work(rows: slice) -> tuple[Metrics, list[Tensor]]:
        own = fakes[rows].detach().requires_grad_()
        logits, predicted = state.discriminator(own)
        adversarial = generator_loss(logits)
        loss = adversarial + settings.pose_weight * pose_loss(predicted, poses[rows])
        gradient[rows] = torch.autograd.grad(loss, own)[0] * (len(own) / len(fakes))
        return {"loss/generator": adversarial}, []

    metrics, _ = _average_over_parts(work, fakes)
    state.generator_optimizer.zero_grad()
    fakes.backward(gradient)
    metrics["gradient/generator"] = clip_grad_norm_(state.generator.parameters(), settings.grad_clip)
    state.generator_optimizer.step()
    for ema in state.emas:
        ema.update_parameters(state.generator)
    return metrics


def _average_over_parts(
    work: Callable[[slice], tuple[Metrics, list[Tensor]]], batch: Tensor
) -> tuple[Metrics, list[Tensor]]:
    """Means over the batch of the metrics and tensors that `work` gives for its parts, one part a core."""
    count = torch.get_num_threads() if batch.device.type == "cpu" else 1
    parts = [slice(part[0], part[-1] + 1) for part in split_evenly(range(len(batch)), count)]
    results = map_on_cores(work, parts)
    shares = [(part.stop - part.start) / len(batch) for part in parts]

    def mean(values: Iterable[Tensor]) -> Tensor:
        return torch.stack([share * value.detach() for share, value in zip(shares, values, strict=True)]).sum(
            0
        )

    metrics = {name: mean(metrics[name] for metrics, _ in results) for name in results[0][0]}
    return metrics, [mean(tensors) for tensors in zip(*(tensors for _, tensors in results), strict=True)]


def train_step(
    state: TrainingState, reals: Reals, prior: PosePrior, sampler: EpochSampler, settings: TrainingSettings
) -> Metrics:
    """One D step and one G step."""
    rng = step_generator(settings.seed, state.step)
    images, image_poses = _draw_reals(reals, sampler.indices(state.step), rng, settings)
    state.generator.sampler.manifold.requires_grad_(state.step % settings.manifold_every == 0)

    def fakes() -> tuple[Tensor, Tensor]:
        z = torch.randn(settings.batch_size, state.generator.z_dim, generator=rng).to(images.device)
        poses = prior.sample(settings.batch_size, generator=rng).to(images.device)
        return state.generator(z, poses, size=images.shape[-1]), poses

    with torch.set_grad_enabled(settings.share_fakes):
        shown, poses = fakes()
    metrics = discriminator_step(state, images, image_poses, shown, poses, settings)
    if not settings.share_fakes:
        shown, poses = fakes()
    return metrics | generator_step(state, shown, poses, settings)


def fit(
    state: TrainingState, reals: Reals, prior: PosePrior, settings: TrainingSettings, *, steps: int
) -> Iterator[tuple[int, Metrics]]:
    """Train until `steps` steps are done, yielding (steps done, metrics) after each."""
    sampler = EpochSampler(len(reals.images), settings.batch_size, seed=settings.seed)
    while state.step < steps:
        metrics = train_step(state, reals, prior, sampler, settings)
        state.step += 1
        yield state.step, metrics


def _draw_reals(
    reals: Reals, indices: Tensor, rng: torch.Generator, settings: TrainingSettings
) -> tuple[Float[Tensor, "batch 3 size size"], Float[Tensor, "batch 2"]]:
    """Images in [-1, 1] and poses, half of them mirrored."""
    mirrored = (torch.rand(len(indices), generator=rng) < 0.5) & settings.mirror
    indices, mirrored = indices.to(reals.images.device), mirrored.to(reals.images.device)
    images = reals.images[indices].float() / 127.5 - 1.0
    poses = reals.poses[indices]
    return (
        torch.where(mirrored[:, None, None, None], images.flip(-1), images),
        torch.where(mirrored[:, None], mirror_poses(poses), poses),
    )
