"""The adversarial training step and the loop around it (GRAM, section 3.4)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel

from gram.discriminator import Discriminator
from gram.ema import averaged_copy
from gram.generator import Generator
from gram.losses import discriminator_loss, generator_loss, pose_loss, r1_penalty
from gram.poses import PosePrior, mirror_poses
from gram.sampling import EpochSampler, step_generator

Metrics = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Everything that shapes a step. Weights are those of method's losses; learning rates are Adam's."""

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
    coarse_steps: int = 0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Reals:
    """Real images on the training device."""

    images: UInt8[Tensor, "count 3 size size"]
    poses: Float[Tensor, "count 2"]


class TrainingState:
    """All that changes while training."""

    def __init__(self, generator: Generator, discriminator: Discriminator, settings: TrainingSettings) -> None:
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


def discriminator_step(
    state: TrainingState, reals: Tensor, real_poses: Tensor, fakes: Tensor, fake_poses: Tensor,
    settings: TrainingSettings,
) -> Metrics:
    """One update of D on reals and (detached) fakes."""
    with_r1 = state.step % settings.r1_every == 0 and settings.r1_weight > 0
    real_logits, real_predicted = state.discriminator(reals.requires_grad_(with_r1))
    fake_logits, fake_predicted = state.discriminator(fakes.detach())
    adversarial = discriminator_loss(real_logits, fake_logits)
    real_pose, fake_pose = pose_loss(real_predicted, real_poses), pose_loss(fake_predicted, fake_poses)
    loss = adversarial + settings.real_pose_weight * real_pose + settings.pose_weight * fake_pose
    metrics = {
        "loss/discriminator": adversarial, "logits/real": real_logits.mean(), "logits/fake": fake_logits.mean(),
        "pose/real": real_pose, "pose/fake": fake_pose,
    }  # fmt: skip
    if with_r1:
        metrics["r1"] = r1_penalty(real_logits, reals)
        loss = loss + settings.r1_weight * settings.r1_every * metrics["r1"]
    state.discriminator_optimizer.zero_grad()
    loss.backward()
    state.discriminator_optimizer.step()
    return {k: v.detach() for k, v in metrics.items()}


def generator_step(state: TrainingState, fakes: Tensor, poses: Tensor, settings: TrainingSettings) -> Metrics:
    """One update of G through D(fakes), and of its averages."""
    logits, predicted = state.discriminator(fakes)
    adversarial, pose = generator_loss(logits), pose_loss(predicted, poses)
    state.generator_optimizer.zero_grad()
    (adversarial + settings.pose_weight * pose).backward()
    norm = clip_grad_norm_(state.generator.parameters(), settings.grad_clip)
    state.generator_optimizer.step()
    for ema in state.emas:
        ema.update_parameters(state.generator)
    return {"loss/generator": adversarial.detach(), "gradient/generator": norm}
