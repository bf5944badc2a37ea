"""Adversarial losses (GRAM, section 3.4): non-saturating logistic, R1, and camera poses."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, softplus

from gram.shapes import Float


def discriminator_loss(
    real_logits: Float[Tensor, " reals"], fake_logits: Float[Tensor, " fakes"]
) -> Float[Tensor, ""]:
    """Compute f(D(fake)) + f(-D(real)) with f = softplus."""
    return softplus(fake_logits).mean() + softplus(-real_logits).mean()


def generator_loss(fake_logits: Float[Tensor, " fakes"]) -> Float[Tensor, ""]:
    """Compute f(-D(fake)) with f = softplus (non-saturating)."""
    return softplus(-fake_logits).mean()


def r1_penalty(
    real_logits: Float[Tensor, " reals"], reals: Float[Tensor, "reals 3 size size"]
) -> Float[Tensor, ""]:
    """Mean of |grad D(real)|^2 / 2 (Mescheder et al. 2018), differentiable.

    Args:
        real_logits: D(reals).
        reals: real images, with requires_grad.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), reals, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() / 2.0


def pose_loss(predicted: Float[Tensor, "batch 2"], poses: Float[Tensor, "batch 2"]) -> Float[Tensor, ""]:
    """Mean squared error of (pitch, yaw), radians squared."""
    return mse_loss(predicted, poses)
