"""What all samplers have in common: they draw, train and are saved in the same ways."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sampled_rays import some_noise
from torch import Tensor

from gram.analysis.health import Probe, diagnose
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.geometry.poses import GaussianPoses
from gram.model.folder import ModelError, build_discriminator, build_generator, load_model, save_model
from gram.model.generator import Generator
from gram.rendering.render_rays import shade
from gram.rendering.samplers import SAMPLERS, LayeredSampler
from gram.training.fakes import Fakes
from gram.training.state import TrainingSettings, TrainingState
from gram.training.step import Reals, fit

PRIOR = GaussianPoses()
POINTS = 6
SPACE = {"near": 0.88, "far": 1.12}
ARGUMENTS: dict[str, Any] = {
    "points": POINTS,
    "levels": POINTS - 1,
    "first_level": 23.0,
    "last_level": 8.0,
    "num_samples": 12,
    "delta": 0.04,
    "mode": "linear",
    "box": 0.24,
}
STOCHASTIC = [kind for kind, sampler in SAMPLERS.items() if sampler.stochastic]
LEARNED = [kind for kind, sampler in SAMPLERS.items() if sampler.learns]
TRAINING = TrainingSettings(batch_size=3, lr_generator=1e-3, lr_discriminator=2e-3, lr_manifold=1e-3)


def sampler_of(kind: str) -> dict[str, Any]:
    return {"kind": kind, **SPACE} | {name: ARGUMENTS[name] for name in SAMPLERS[kind].options}


@pytest.fixture(params=SAMPLERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(settings: dict[str, Any], kind: str) -> dict[str, Any]:
    settings["sampler"] = sampler_of(kind)
    settings["ray_network"] = {"width": 8, "layers": 2, "frequencies": 2}
    return settings


@pytest.fixture
def drawn(model: dict[str, Any]) -> Generator:
    torch.manual_seed(0)
    return build_generator(model)


@pytest.fixture
def reals() -> Reals:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (7, 3, 8, 8), generator=rng).to(torch.uint8)
    return Reals(images=images, poses=PRIOR.sample(7, generator=rng))


def train(model: dict[str, Any], training: TrainingSettings, reals: Reals, steps: int = 3) -> TrainingState:
    torch.manual_seed(0)
    state = TrainingState(build_generator(model), build_discriminator(model), training)
    assert len(list(fit(state, reals, PRIOR, training, steps=steps))) == steps
    return state


def some_latents(count: int = 3) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(count, 8, generator=rng), PRIOR.sample(count, generator=rng)


def test_the_field_is_evaluated_at_so_many_points_a_ray(
    drawn: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated, radiance = [], drawn.radiance.forward

    def counted(points: Tensor, *others: Any):
        evaluated.append(points.shape[1])
        return radiance(points, *others)

    monkeypatch.setattr(drawn.radiance, "forward", counted)
    z, poses = some_latents()
    drawn(z, poses, size=5, noise=some_noise(3))
    assert sum(evaluated) == 25 * POINTS == 25 * drawn.sampler.points_per_ray


def test_only_stochastic_samplers_depend_on_noise(drawn: Generator, kind: str) -> None:
    z, poses = some_latents()
    without = drawn.render(z, poses, size=6)
    first, again, other = (drawn.render(z, poses, size=6, noise=some_noise(3, seed)) for seed in (0, 0, 1))
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.image, other.image) == (kind not in STOCHASTIC)
    assert torch.equal(first.image, without.image) == (kind not in STOCHASTIC)
    assert drawn.sampler.stochastic == (kind in STOCHASTIC)


def test_parts_of_a_picture_are_those_of_the_whole(drawn: Generator) -> None:
    z, poses = some_latents()
    noise = some_noise(3)
    expected = drawn(z, poses, size=6, noise=noise).detach()
    in_parts = drawn.render(z, poses, size=6, noise=noise, max_rays=10).image
    alone = torch.cat(
        [drawn(z[i : i + 1], poses[i : i + 1], size=6, noise=noise.of(slice(i, i + 1))) for i in range(3)]
    )
    for found in (in_parts, alone.detach()):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("micro_batch", "patches"), [(2, 1), (3, 4), (1, 16)])
def test_images_and_gradients_do_not_depend_on_the_cut(
    drawn: Generator, micro_batch: int, patches: int
) -> None:
    drawn.double()
    z, poses = (part.double() for part in some_latents())
    noise = some_noise(3)
    images = drawn.draw(z, poses, size=8, noise=noise)
    derivative = torch.randn(images.shape, generator=torch.Generator().manual_seed(2)).double()
    parameters = {name: p for name, p in drawn.named_parameters() if p.requires_grad}
    expected = torch.autograd.grad((images * derivative).sum(), list(parameters.values()))
    fakes = Fakes(drawn, z, poses, size=8, micro_batch=micro_batch, patches=patches, noise=noise)
    torch.testing.assert_close(fakes.render_detached(keep=False), images.detach(), rtol=0, atol=1e-9)
    for rows in fakes.micro_batches():
        fakes.backward(rows, fakes.render(rows), derivative[rows])
    for (name, parameter), other in zip(parameters.items(), expected, strict=True):
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_it_trains_at_every_precision_and_only_what_is_learned_moves(
    model: dict[str, Any], reals: Reals, kind: str, precision: Any
) -> None:
    before = train(model, TRAINING, reals, steps=0)
    after = train(model, replace(TRAINING, precision=precision), reals)
    assert all(value.isfinite().all() for value in after.tensors().values())
    for part, moves in (("radiance", True), ("sampler", kind in LEARNED)):
        old, new = (getattr(state.generator, part).state_dict() for state in (before, after))
        assert any(not torch.equal(old[name], new[name]) for name in old) == moves, part


def test_training_is_repeated_to_the_bit_and_goes_on_as_if_never_stopped(
    model: dict[str, Any], reals: Reals
) -> None:
    straight, first = train(model, TRAINING, reals, steps=4), train(model, TRAINING, reals, steps=2)
    resumed = train(model, TRAINING, reals, steps=0)
    resumed.load_tensors(first.tensors())
    resumed.step = first.step
    list(fit(resumed, reals, PRIOR, TRAINING, steps=4))
    for name, value in straight.tensors().items():
        assert torch.equal(value, resumed.tensors()[name]), name


def test_every_step_samples_elsewhere(model: dict[str, Any], reals: Reals, kind: str) -> None:
    seen: list[Tensor] = []
    torch.manual_seed(0)
    state = TrainingState(build_generator(model), build_discriminator(model), TRAINING)
    sample = state.generator.sampler.sample

    def watched(rays, noise):
        samples = sample(rays, noise)
        seen.append(samples.t.detach())
        return samples

    state.generator.sampler.sample = watched  # pyright: ignore[reportAttributeAccessIssue]
    list(fit(state, reals, PRIOR, TRAINING, steps=2))
    assert len(seen) == 4  # for D and for G
    in_bins = {(step - seen[0]).abs().max().item() > 0 for step in seen[1:]}
    if kind in STOCHASTIC:
        assert in_bins == {True}


def test_a_saved_model_draws_the_same(model: dict[str, Any], reals: Reals, tmp_path: Path) -> None:
    state = train(model, TRAINING, reals)
    save_model(tmp_path / "model", state.generator, state.discriminator, model)
    z, poses = some_latents()
    noise = some_noise(3)
    ours = state.generator.render(z, poses, size=6, noise=noise)
    theirs = load_model(tmp_path / "model").render(z, poses, size=6, noise=noise)
    assert torch.equal(ours.image, theirs.image)
    assert torch.equal(ours.depth, theirs.depth)


def test_what_is_seen_lies_between_near_and_the_background(drawn: Generator) -> None:
    z, poses = some_latents()
    rendered = drawn.render(z, torch.full_like(poses, torch.pi / 2), size=6, noise=some_noise(3))
    assert rendered.depth.min() >= 0.88 - 1e-5
    assert rendered.depth.max() <= 1.14  # the corners of the plane
    torch.testing.assert_close(rendered.opacity, torch.ones(3, 6, 6), rtol=0, atol=1e-5)


def test_on_white_the_light_that_passes_is_white(model: dict[str, Any]) -> None:
    model["sampler"] |= {"background_z": None}
    torch.manual_seed(0)
    generator = build_generator(model)
    with torch.no_grad():
        for head in generator.radiance.density_heads:
            head.bias.sub_(1e3)  # no density anywhere
    z, poses = some_latents()
    rendered = generator.render(z, poses, size=6)
    torch.testing.assert_close(rendered.image, torch.ones(3, 3, 6, 6), rtol=0, atol=1e-5)
    assert float(rendered.opacity.max()) < 1e-5


def test_diagnostics_say_what_there_is_to_say(drawn: Generator) -> None:
    numbers = diagnose(drawn, Probe.draw(8, PRIOR, seed=0))
    assert ("hits/00" in numbers) == isinstance(drawn.sampler, LayeredSampler)
    assert 0.0 < numbers["opacity"] < 1.0
    assert numbers["nonfinite"] == 0.0


def test_occupancy_of_space_is_that_of_a_sample_of_typical_length(drawn: Generator) -> None:
    z, _ = some_latents(1)
    points = torch.tensor([[0.0, 0.0, 0.0], [0.02, -0.03, 0.01]])
    alpha = drawn.occupancy(z[0], points)
    _, density = drawn._at_points(z[0], points, torch.zeros_like(points), 1.0)
    torch.testing.assert_close(alpha, 1.0 - torch.exp(-drawn.sampler.typical_delta * density))
    assert 0.0 < drawn.sampler.typical_delta <= 0.04 + 1e-6


def test_frozen_spheres_cost_no_gradient(settings: dict[str, Any]) -> None:
    settings["sampler"] = sampler_of("spheres")
    generator = build_generator(settings)
    generator.sampler.learn(True)
    assert not any(p.requires_grad for p in generator.sampler.parameters())


def test_learning_can_rest(drawn: Generator, kind: str) -> None:
    for now in (False, True):
        drawn.sampler.learn(now)
        found = {p.requires_grad for p in drawn.sampler.parameters()}
        assert found <= {now and kind in LEARNED}


def test_an_unknown_kind_is_named(settings: dict[str, Any], tmp_path: Path) -> None:
    state_of = build_generator(settings), build_discriminator(settings)
    odd = copy.deepcopy(settings)
    odd["sampler"]["kind"] = "cubes"
    save_model(tmp_path / "model", *state_of, odd)
    with pytest.raises(ModelError, match=r"sampler.kind is 'cubes', not one of 'manifold', 'spheres'"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize("background_z", [-0.12, None])
def test_what_is_in_front_is_the_picture_without_the_background(
    model: dict[str, Any], background_z: float | None
) -> None:
    model["sampler"] |= {"background_z": background_z}
    torch.manual_seed(0)
    drawn = build_generator(model)
    z, poses = some_latents()
    rays = pixel_rays(look_at_origin(poses), size=5, fov=drawn.fov)
    film = drawn.mapping(z)
    whole, front = (
        shade(drawn.sampler, lambda x, d, hit: drawn.radiance(x, d, film, hit), rays, background=shown)
        for shown in (True, False)
    )
    behind = whole.weights - front.weights  # of the one sample that is the background, the farthest
    assert ((behind > 1e-6).sum(-1) <= (background_z is not None)).all()
    torch.testing.assert_close(front.opacity, whole.opacity - behind.sum(-1))
    assert (front.depth < whole.depth + 1e-6).all()
    if background_z is None:
        assert torch.equal(front.weights, whole.weights)
        torch.testing.assert_close(front.rgb + (1.0 - whole.opacity)[..., None], whole.rgb)
    else:
        torch.testing.assert_close(whole.opacity, torch.ones(3, 25))
        assert (front.opacity < 1.0).all()
    rendered = drawn.render(z, poses, size=5, background=False)
    torch.testing.assert_close(rendered.opacity, front.opacity.view(3, 5, 5))
    torch.testing.assert_close(drawn.draw(z, poses, size=5)[:, 3], rendered.opacity)
