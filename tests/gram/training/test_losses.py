"""Losses with values known in closed form; R1 against finite differences."""

import math

import pytest
import torch

from gram.networks.discriminator import Discriminator
from gram.training.losses import discriminator_loss, generator_loss, pose_loss, r1_penalty


def test_losses_of_undecided_logits_are_logarithms_of_two() -> None:
    zeros = torch.zeros(5)
    assert float(discriminator_loss(zeros, zeros)) == pytest.approx(2 * math.log(2))
    assert float(generator_loss(zeros)) == pytest.approx(math.log(2))


def test_the_discriminator_loss_is_the_mean_over_each_kind() -> None:
    reals, fakes = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, -4.0])
    expected = sum(math.log1p(math.exp(-x)) for x in (1.0, -2.0, 0.5)) / 3
    expected += sum(math.log1p(math.exp(x)) for x in (0.3, -4.0)) / 2
    assert float(discriminator_loss(reals, fakes)) == pytest.approx(expected)


def test_the_discriminator_wants_reals_high_and_fakes_low() -> None:
    reals, fakes = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    to_reals, to_fakes = torch.autograd.grad(discriminator_loss(reals, fakes), [reals, fakes])
    torch.testing.assert_close(to_reals, torch.full((3,), -1 / 6))
    torch.testing.assert_close(to_fakes, torch.full((3,), 1 / 6))


def test_the_generator_wants_fakes_high_and_saturates_only_when_it_wins() -> None:
    fakes = torch.tensor([-50.0, 0.0, 50.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(generator_loss(fakes), fakes)
    torch.testing.assert_close(gradient, torch.tensor([-1 / 3, -1 / 6, 0.0]))


def test_r1_of_a_linear_discriminator_is_half_its_squared_weights() -> None:
    weight = torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True)
    reals = torch.randn(5, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty((reals * weight).sum((1, 2, 3)), reals)
    torch.testing.assert_close(penalty, weight.square().sum() / 2)
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, weight.detach())


def test_r1_of_the_discriminator_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(size=4, width=0.003).double()
    reals = torch.rand(2, 3, 4, 4, dtype=torch.float64).requires_grad_()
    penalty = r1_penalty(discriminator(reals)[0], reals)
    squares = []
    with torch.no_grad():
        for i in range(reals[0].numel()):
            step = torch.zeros(48, dtype=torch.float64)
            step[i] = 1e-6
            step = step.view(1, 3, 4, 4)
            difference = discriminator(reals + step)[0] - discriminator(reals - step)[0]
            squares.append((difference / 2e-6).square())
    assert float(penalty.detach()) > 0
    torch.testing.assert_close(penalty.detach(), torch.stack(squares).sum(0).mean() / 2, rtol=1e-6, atol=0)


def test_the_gradient_of_r1_reaches_the_weights_exactly() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(size=4, width=0.003).double()
    reals = torch.rand(2, 3, 4, 4, dtype=torch.float64).requires_grad_()
    weight = dict(discriminator.named_parameters())["blocks.0.first.weight"]

    def penalty() -> torch.Tensor:
        return r1_penalty(discriminator(reals)[0], reals)

    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn_like(weight)
    values = []
    for sign in (1.0, -1.0):
        weight.data.add_(direction, alpha=sign * 1e-6)
        values.append(float(penalty().detach()))
        weight.data.add_(direction, alpha=-sign * 1e-6)
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(float((gradient * direction).sum()), rel=1e-5)


def test_the_pose_loss_is_the_mean_squared_angle() -> None:
    predicted, poses = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.5, 2.0], [0.0, -1.0]])
    assert float(pose_loss(predicted, poses)) == pytest.approx((0.25 + 1.0) / 4)
