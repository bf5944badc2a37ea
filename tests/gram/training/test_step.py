"""A step updates what it should and nothing else; training resumes to the bit and learns."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gram.geometry.poses import GaussianPoses, mirror_poses
from gram.model.folder import build_discriminator, build_generator
from gram.training import checkpoint
from gram.training.batches import EpochSampler
from gram.training.fakes import Fakes
from gram.training.state import TrainingSettings, TrainingState
from gram.training.step import Reals, discriminator_step, fit, generator_step, train_step

PRIOR = GaussianPoses()
BASE = TrainingSettings(batch_size=3, lr_generator=1e-3, lr_discriminator=2e-3, lr_manifold=1e-4)


@pytest.fixture
def reals() -> Reals:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (7, 3, 8, 8), generator=rng).to(torch.uint8)
    return Reals(images=images, poses=PRIOR.sample(7, generator=rng))


def make_state(model: dict[str, Any], settings: TrainingSettings = BASE) -> TrainingState:
    torch.manual_seed(0)
    return TrainingState(build_generator(model), build_discriminator(model), settings)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def run(state: TrainingState, reals: Reals, settings: TrainingSettings, steps: int) -> list[dict[str, float]]:
    results = []
    for _, metrics in fit(state, reals, PRIOR, settings, steps=steps):
        results.append({name: float(value) for name, value in metrics.items()})
    return results


@pytest.mark.parametrize("share_fakes", [False, True])
@pytest.mark.parametrize("mode", ["linear", "refined"])
def test_resumed_training_equals_uninterrupted_training_to_the_bit(
    settings: dict[str, Any], reals: Reals, tmp_path: Path, share_fakes: bool, mode: str
) -> None:
    settings["sampler"]["mode"] = mode
    training = replace(BASE, share_fakes=share_fakes, r1_every=2, manifold_every=2)
    whole = make_state(settings, training)
    expected = run(whole, reals, training, 6)
    first = make_state(settings, training)
    metrics = run(first, reals, training, 3)
    checkpoint.save(tmp_path, first, keep=1)
    torch.manual_seed(99)  # whatever a new process starts from
    second = TrainingState(build_generator(settings), build_discriminator(settings), training)
    assert checkpoint.load_newest(tmp_path, second) == 3
    metrics += run(second, reals, training, 6)
    assert metrics == expected
    found = second.tensors()
    assert found.keys() == whole.tensors().keys()
    assert [name for name, value in whole.tensors().items() if not torch.equal(value, found[name])] == []


def test_the_state_is_complete(settings: dict[str, Any], reals: Reals) -> None:
    state = make_state(settings)
    run(state, reals, BASE, 1)
    names = state.tensors().keys()
    for part in ("generator", "discriminator", "ema0", "ema1"):
        assert any(name.startswith(f"{part}/") for name in names)
    for part, module in (("generator", state.generator), ("discriminator", state.discriminator)):
        moments = [name for name in names if name.startswith(f"{part}_optimizer/")]
        assert len(moments) == 3 * len(list(module.parameters()))  # step and two moments


def test_steps_are_counted_and_yielded(settings: dict[str, Any], reals: Reals) -> None:
    state = make_state(settings)
    assert [step for step, _ in fit(state, reals, PRIOR, BASE, steps=2)] == [1, 2]
    assert [step for step, _ in fit(state, reals, PRIOR, BASE, steps=3)] == [3]
    assert list(fit(state, reals, PRIOR, BASE, steps=3)) == []
    assert state.step == 3


def test_metrics_are_detached_numbers(settings: dict[str, Any], reals: Reals) -> None:
    ((_, metrics),) = fit(make_state(settings), reals, PRIOR, BASE, steps=1)
    assert set(metrics) == {
        "loss/discriminator", "loss/generator", "pose/real", "pose/fake",
        "logits/real", "logits/fake", "r1", "gradient/generator", "gradient/discriminator",
    }  # fmt: skip
    for value in metrics.values():
        assert value.ndim == 0
        assert value.isfinite()
        assert not value.requires_grad


@pytest.mark.parametrize("share_fakes", [False, True])
def test_each_network_moves_by_its_own_optimizer_only(
    settings: dict[str, Any], reals: Reals, share_fakes: bool
) -> None:
    for still, moving in (("generator", "discriminator"), ("discriminator", "generator")):
        training = replace(
            BASE, share_fakes=share_fakes, **{f"lr_{still}": 0.0},
            lr_manifold=0.0 if still == "generator" else BASE.lr_manifold,
        )  # fmt: skip
        state = make_state(settings, training)
        before = {name: snapshot(getattr(state, name)) for name in (still, moving)}
        run(state, reals, training, 1)
        assert changed(getattr(state, still), before[still]) == set()
        assert changed(getattr(state, moving), before[moving]) >= {
            name for name, _ in getattr(state, moving).named_parameters()
        }


def test_the_discriminator_step_leaves_no_gradient_in_the_generator(
    settings: dict[str, Any], reals: Reals
) -> None:
    state = make_state(settings)
    before = snapshot(state.generator)
    poses = PRIOR.sample(3, generator=torch.Generator().manual_seed(0))
    fakes = state.generator(torch.randn(3, 8), poses, size=8)
    discriminator_step(state, reals.images[:3].float() / 127.5 - 1, reals.poses[:3], fakes, poses, BASE)
    assert all(p.grad is None for p in state.generator.parameters())
    assert changed(state.generator, before) == set()


def test_the_generator_step_leaves_no_gradient_in_the_discriminator(settings: dict[str, Any]) -> None:
    state = make_state(settings)
    before = snapshot(state.discriminator)
    poses = PRIOR.sample(3, generator=torch.Generator().manual_seed(0))
    fakes = Fakes(state.generator, torch.randn(3, 8), poses, size=8, micro_batch=3, patches=1)
    generator_step(state, fakes, BASE)
    assert all(p.grad is None and p.requires_grad for p in state.discriminator.parameters())
    assert changed(state.discriminator, before) == set()


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each rendering of fakes was made with gradient."""
    from gram.model.generator import Generator

    calls: list[bool] = []
    draw = Generator.draw

    def counted(self, *args, **kwargs):
        calls.append(torch.is_grad_enabled())
        return draw(self, *args, **kwargs)

    monkeypatch.setattr(Generator, "draw", counted)
    yield calls


@pytest.mark.parametrize(("share_fakes", "expected"), [(False, [False, True]), (True, [True])])
def test_shared_fakes_are_rendered_once(
    settings: dict[str, Any], reals: Reals, renders: list[bool], share_fakes: bool, expected: list[bool]
) -> None:
    training = replace(BASE, share_fakes=share_fakes)
    run(make_state(settings, training), reals, training, 1)
    assert renders == expected


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_and_moments_lie_in_memory_as_their_weights_do(
    settings: dict[str, Any], reals: Reals, layout: torch.memory_format
) -> None:
    """Fused Adam refuses anything else on a GPU, and nothing of it on a CPU."""
    discriminator = build_discriminator(settings).to(memory_format=layout)
    discriminator.channels_last = True
    state = TrainingState(build_generator(settings), discriminator, replace(BASE, precision="bf16"))
    run(state, reals, replace(BASE, precision="bf16"), steps=2)
    for optimizer in (state.discriminator_optimizer, state.generator_optimizer):
        for parameter, kept in optimizer.state.items():
            assert isinstance(parameter, Tensor) and parameter.grad is not None
            strides = [t.stride() for t in (parameter, parameter.grad, kept["exp_avg"], kept["exp_avg_sq"])]
            assert len(set(strides)) == 1


def test_r1_is_applied_every_few_steps_only(settings: dict[str, Any], reals: Reals) -> None:
    training = replace(BASE, r1_every=3)
    metrics = run(make_state(settings, training), reals, training, 7)
    assert ["r1" in values for values in metrics] == [True, False, False, True, False, False, True]
    off = replace(BASE, r1_weight=0.0)
    assert not any("r1" in values for values in run(make_state(settings, off), reals, off, 2))


def test_lazy_r1_is_weighted_by_its_interval(settings: dict[str, Any], reals: Reals) -> None:
    states = []
    for training in (replace(BASE, r1_weight=3.0, r1_every=4), replace(BASE, r1_weight=12.0, r1_every=1)):
        state = make_state(settings, training)
        run(state, reals, training, 1)
        states.append(state.discriminator.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_manifold_rests_between_its_steps(settings: dict[str, Any], reals: Reals) -> None:
    training = replace(BASE, manifold_every=3)
    state, moved = make_state(settings, training), []
    for _ in range(7):
        before = snapshot(state.generator)
        run(state, reals, training, state.step + 1)
        names = changed(state.generator, before)
        moved.append(any(name.startswith("sampler.manifold") for name in names))
        assert any(name.startswith("radiance") for name in names)
    assert moved == [True, False, False, True, False, False, True]


def test_the_manifold_has_its_own_learning_rate(settings: dict[str, Any], reals: Reals) -> None:
    training = replace(BASE, lr_manifold=0.0)
    state = make_state(settings, training)
    before = snapshot(state.generator)
    run(state, reals, training, 2)
    names = changed(state.generator, before)
    assert not any(name.startswith("sampler.manifold") for name in names)
    assert {name.split(".")[0] for name in names} == {"radiance", "mapping"}


def test_gradients_of_the_generator_are_clipped(settings: dict[str, Any], reals: Reals) -> None:
    training = replace(BASE, grad_clip=1e-3)
    state = make_state(settings, training)
    (metrics,) = run(state, reals, training, 1)
    norm = torch.stack([p.grad.norm() for p in state.generator.parameters() if p.grad is not None]).norm()
    assert metrics["gradient/generator"] > 1e-2  # before clipping
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_averages_follow_the_generator(settings: dict[str, Any], reals: Reals) -> None:
    training = replace(BASE, ema_decays=(0.0, 0.9999))
    state = make_state(settings, training)
    run(state, reals, training, 4)
    generator = dict(state.generator.named_parameters())
    quick, slow = (dict(ema.module.named_parameters()) for ema in state.emas)
    assert all(torch.equal(quick[name], value) for name, value in generator.items())
    assert any(not torch.equal(slow[name], value) for name, value in generator.items())


def test_a_step_is_a_function_of_state_step_and_seed(settings: dict[str, Any], reals: Reals) -> None:
    sampler, found = EpochSampler(7, 3, seed=0), []
    for seed in (0, 0, 1):
        torch.manual_seed(len(found) * 17)  # the global state must not matter
        state = make_state(settings)
        torch.manual_seed(len(found) * 17)
        found.append(train_step(state, reals, PRIOR, sampler, replace(BASE, seed=seed)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    assert not torch.equal(found[0]["logits/fake"], found[2]["logits/fake"])


def test_real_images_reach_the_discriminator_scaled_and_mirrored_with_their_poses(
    settings: dict[str, Any], reals: Reals, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def record(_state, images, poses, *_rest):
        seen.append((images, poses))
        return {}

    monkeypatch.setattr("gram.training.step.discriminator_step", record)
    run(make_state(settings), reals, BASE, 12)
    images, poses = (torch.cat(parts) for parts in zip(*seen, strict=True))
    plain = reals.images.float() / 127.5 - 1.0
    mirrored = 0
    for image, pose in zip(images, poses, strict=True):
        straight = [i for i in range(7) if torch.equal(image, plain[i])]
        flipped = [i for i in range(7) if torch.equal(image, plain[i].flip(-1))]
        assert len(straight) + len(flipped) == 1
        if straight:
            assert torch.equal(pose, reals.poses[straight[0]])
        else:
            torch.testing.assert_close(pose, mirror_poses(reals.poses)[flipped[0]])
        mirrored += len(flipped)
    assert 8 <= mirrored <= 28  # of 36


def test_the_discriminator_learns_to_tell_fakes_from_reals(settings: dict[str, Any], reals: Reals) -> None:
    training = replace(BASE, lr_generator=0.0, lr_manifold=0.0, lr_discriminator=1e-2, mirror=False,
        r1_weight=0.0, pose_weight=0.0, real_pose_weight=0.0)  # fmt: skip
    metrics = run(make_state(settings, training), reals, training, 30)
    assert metrics[-1]["loss/discriminator"] < 0.3 * metrics[0]["loss/discriminator"]
    assert metrics[-1]["logits/real"] - metrics[-1]["logits/fake"] > 1.0


def test_the_generator_learns_to_fool_a_discriminator_that_stands_still(
    settings: dict[str, Any], reals: Reals
) -> None:
    training = replace(BASE, lr_discriminator=0.0, lr_generator=1e-2, pose_weight=0.0, share_fakes=True)
    losses = [m["loss/generator"] for m in run(make_state(settings, training), reals, training, 20)]
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.01


@pytest.mark.parametrize("share", [0.2, 0.8])
@pytest.mark.parametrize("cut", [{}, {"share_fakes": True}, {"micro_batch": 2, "patches": 4}])
def test_the_foreground_comes_to_fill_the_share_that_is_asked_for(
    settings: dict[str, Any], reals: Reals, share: float, cut: dict[str, Any]
) -> None:
    training = replace(BASE, lr_discriminator=0.0, lr_generator=1e-2, pose_weight=0.0, **cut)
    training = replace(training, foreground=share, foreground_weight=100.0)
    settings["sampler"]["delta"] = 0.2
    state = make_state(settings, training)
    metrics = run(state, reals, training, 40)
    z = torch.randn(16, 8, generator=torch.Generator().manual_seed(1))
    poses = PRIOR.sample(16, generator=torch.Generator().manual_seed(2))
    opacity = state.generator.render(z, poses, size=8, background=False).opacity
    assert float(opacity.mean()) == pytest.approx(share, abs=0.1)
    assert metrics[-1]["loss/foreground"] < 0.3 * metrics[0]["loss/foreground"]


@pytest.mark.parametrize("weight, kept", [(0.0, True), (100.0, False)])
def test_what_stands_at_the_edge_goes_if_it_costs(
    settings: dict[str, Any], reals: Reals, weight: float, kept: bool
) -> None:
    training = replace(BASE, lr_discriminator=0.0, lr_generator=1e-2, pose_weight=0.0)
    training = replace(training, foreground=0.8, foreground_weight=1.0, edge_weight=weight)
    settings["sampler"]["delta"] = 0.2
    losses = [float(m["loss/edge"]) for m in run(make_state(settings, training), reals, training, 40)]
    assert (losses[-1] > 0.5 * losses[0]) == kept


def test_without_a_share_nobody_asks_for_a_foreground(settings: dict[str, Any], reals: Reals) -> None:
    weights = []
    for weight in (0.0, 100.0):
        training = replace(BASE, foreground_weight=weight)
        state = make_state(settings, training)
        run(state, reals, training, 2)
        weights.append(state.digest())
    assert weights[0] == weights[1]


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        BASE.batch_size = 4  # pyright: ignore[reportAttributeAccessIssue]
    assert copy.copy(BASE) == BASE


def test_the_digest_tells_states_apart(settings: dict[str, Any], reals: Reals) -> None:
    state, twin = make_state(settings), make_state(settings)
    assert state.digest() == twin.digest()
    run(state, reals, BASE, 1)
    assert state.digest() != twin.digest()
    run(twin, reals, BASE, 1)
    assert state.digest() == twin.digest()
