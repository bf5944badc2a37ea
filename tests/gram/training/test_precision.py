"""Half precision follows float32; scaled losses give the same step and survive overflow."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from gram.geometry.poses import GaussianPoses
from gram.model.folder import build_discriminator, build_generator
from gram.rendering.samplers import SurfaceSampler
from gram.training.precision import MixedPrecision
from gram.training.state import TrainingSettings, TrainingState
from gram.training.step import Reals, fit

PRIOR = GaussianPoses()
BASE = TrainingSettings(batch_size=3, lr_generator=1e-3, lr_discriminator=2e-3, lr_manifold=1e-4)
PRECISIONS = ["no", "bf16", "fp16"]


@pytest.fixture
def reals() -> Reals:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (7, 3, 8, 8), generator=rng).to(torch.uint8)
    return Reals(images=images, poses=PRIOR.sample(7, generator=rng))


def train(model: dict[str, Any], settings: TrainingSettings, reals: Reals, steps: int = 4):
    torch.manual_seed(0)
    state = TrainingState(build_generator(model), build_discriminator(model), settings)
    steps_done = fit(state, reals, PRIOR, settings, steps=steps)
    return state, [{name: float(value) for name, value in metrics.items()} for _, metrics in steps_done]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_training_in_half_precision_follows_float32(
    settings: dict[str, Any], reals: Reals, precision: Any
) -> None:
    _, expected = train(settings, BASE, reals)
    _, found = train(settings, replace(BASE, precision=precision), reals)
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("loss/discriminator", "loss/generator", "pose/real", "pose/fake", "r1"):
            assert ours[name] == pytest.approx(theirs[name], rel=0.03, abs=1e-3), name
        for name in ("gradient/generator", "gradient/discriminator"):
            assert ours[name] == pytest.approx(theirs[name], rel=0.1), name


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_averages_and_moments_stay_in_float32(
    settings: dict[str, Any], reals: Reals, precision: Any
) -> None:
    state, _ = train(settings, replace(BASE, precision=precision), reals, steps=1)
    types = {value.dtype for name, value in state.tensors().items() if not name.endswith("n_averaged")}
    assert types == {torch.float32}


def test_surfaces_are_found_in_float32_whatever_the_precision(settings: dict[str, Any], reals: Reals) -> None:
    state, _ = train(settings, replace(BASE, precision="bf16"), reals, steps=1)
    seen: list[torch.dtype] = []
    assert isinstance(state.generator.sampler, SurfaceSampler)
    state.generator.sampler.manifold.register_forward_hook(lambda _m, _i, output: seen.append(output.dtype))
    for _ in fit(state, reals, PRIOR, replace(BASE, precision="bf16"), steps=2):
        pass
    assert seen
    assert set(seen) == {torch.float32}


def test_the_averages_draw_in_float32(settings: dict[str, Any], reals: Reals) -> None:
    state, _ = train(settings, replace(BASE, precision="fp16"), reals, steps=1)
    assert state.generator.radiance.matmul_dtype == torch.float16
    assert [ema.module.radiance.matmul_dtype for ema in state.emas] == [None, None]  # pyright: ignore


def make(precision: Any) -> tuple[MixedPrecision, nn.Linear, torch.optim.SGD]:
    torch.manual_seed(0)
    layer = nn.Linear(3, 1)
    return MixedPrecision(precision, "cpu"), layer, torch.optim.SGD(layer.parameters(), lr=0.1)


def test_a_scaled_loss_gives_the_same_step() -> None:
    results = []
    for precision in PRECISIONS:
        mixed, layer, optimizer = make(precision)
        mixed.scale(layer(torch.ones(1, 3)).sum()).backward()
        mixed.unscale(optimizer)
        mixed.step(optimizer)
        mixed.update()
        results.append(layer.weight.detach())
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_an_overflow_skips_the_step_and_lowers_the_scale() -> None:
    mixed, layer, optimizer = make("fp16")
    before = layer.weight.detach().clone()
    scale = float(mixed.scale(torch.ones(())))
    mixed.scale(layer(torch.full((1, 3), torch.inf)).sum()).backward()
    mixed.step(optimizer)
    mixed.update()
    assert torch.equal(layer.weight, before)
    assert float(mixed.scale(torch.ones(()))) == scale / 2


def test_the_scale_is_saved_and_restored() -> None:
    mixed, layer, optimizer = make("fp16")
    mixed.scale(layer(torch.full((1, 3), torch.inf)).sum()).backward()
    mixed.step(optimizer)
    mixed.update()
    other, *_ = make("fp16")
    other.load_tensors(mixed.tensors())
    assert other.tensors() == mixed.tensors()
    assert float(other.scale(torch.ones(()))) == float(mixed.scale(torch.ones(())))


def test_float32_has_nothing_to_save() -> None:
    assert make("no")[0].tensors() == {}
    assert make("bf16")[0].tensors() == {}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_losses_are_of_full_precision_whatever_the_discriminator_ran_in(
    settings: dict[str, Any], precision: Any
) -> None:
    """torch 2.11 cannot differentiate a squared error between float16 and float32."""
    mixed = make(precision)[0]
    logits, poses = mixed.discriminate(build_discriminator(settings), torch.randn(2, 3, 8, 8))
    assert (logits.dtype, poses.dtype) == (torch.float32, torch.float32)
