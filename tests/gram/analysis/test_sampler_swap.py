"""Samplers in place of a model's own: its own draws what it drew, and what makes no sense is refused."""

from typing import Any

import pytest
import torch

from gram.analysis.sampler_swap import analytic_scene, spacing, trained_scene
from gram.analysis.sampling_noise import NoSuchSamplerError, SampledScene, draw
from gram.model.folder import build_generator
from gram.model.generator import Generator
from gram.rendering.samplers import LayeredSampler, SurfaceSampler

POSES = torch.tensor([[1.5, 1.4], [1.7, 1.9]])
SPACE = {"near": 0.88, "far": 1.12, "background_z": -0.12}
SAMPLERS: dict[str, dict[str, Any]] = {
    "manifold": {}, "spheres": {},
    "planes": {"points": 5, "delta": 0.19, **SPACE},
    "stratified": {"points": 5, **SPACE},
    "hierarchical": {"points": 6, **SPACE},
    "neusample": {"points": 5, "box": 0.24, **SPACE},
}  # fmt: skip


def make(settings: dict[str, Any], kind: str, seed: int) -> Generator:
    own = SAMPLERS[kind] or {k: v for k, v in settings["sampler"].items() if k != "kind"}
    network = {"width": 8, "layers": 2, "frequencies": 1}
    torch.manual_seed(seed)
    return build_generator({**settings, "ray_network": network, "sampler": {"kind": kind, **own}}).eval()


def subject_of(generator: Generator, untrained: Generator) -> tuple[SampledScene, torch.Tensor]:
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    expected = generator.render(z, POSES, size=8).image
    return trained_scene(generator, untrained, z, POSES, size=8), expected


@pytest.mark.parametrize("kind", SAMPLERS)
def test_the_models_own_sampler_draws_what_the_model_draws(settings: dict[str, Any], kind: str) -> None:
    generator, untrained = make(settings, kind, 0), make(settings, kind, 1)
    if kind == "neusample":
        torch.nn.init.normal_(generator.sampler.get_submodule("network.output").weight)  # pyright: ignore
    subject, expected = subject_of(generator, untrained)
    drawn = draw(subject.build(kind, generator.sampler.points_per_ray), subject.views)
    torch.testing.assert_close(drawn.mT.reshape(2, 3, 8, 8), expected, rtol=0, atol=2e-5)


def test_learned_and_initial_isosurfaces_are_told_apart(settings: dict[str, Any]) -> None:
    generator, untrained = make(settings, "manifold", 0), make(settings, "manifold", 0)
    assert isinstance(generator.sampler, SurfaceSampler)
    with torch.no_grad():
        generator.sampler.manifold.output.bias.add_(1.0)
    subject, _ = subject_of(generator, untrained)
    learned, initial = subject.build("manifold", 8), subject.build("spheres", 8)
    rays = subject.views[0].rays
    assert (learned.sample(rays).t - initial.sample(rays).t).abs().max() > 1e-3
    assert torch.equal(untrained.sampler.sample(rays).t[..., -1], initial.sample(rays).t[..., -1])


@pytest.mark.parametrize(
    ("trained", "kind", "points", "why"),
    [
        ("spheres", "manifold", 8, "no learned isosurfaces"),
        ("stratified", "manifold", 8, "no learned isosurfaces"),
        ("stratified", "spheres", 8, "without isosurfaces"),
        ("neusample", "neusample", 8, "learned to place 5 points"),
        ("manifold", "hierarchical", 3, "5 are needed"),
        ("manifold", "manifold", 2, "two neighbouring surfaces"),
    ],
)
def test_what_makes_no_sense_is_refused(
    settings: dict[str, Any], trained: str, kind: str, points: int, why: str
) -> None:
    subject, _ = subject_of(make(settings, trained, 0), make(settings, trained, 1))
    with pytest.raises(NoSuchSamplerError, match=why):
        subject.build(kind, points)


@pytest.mark.parametrize("kind", ["manifold", "spheres", "planes"])
def test_surfaces_stand_for_the_space_between_them(kind: str) -> None:
    subject = analytic_scene(size=4, views=1)
    depth = []
    for points in (8, 40):
        sampler = subject.build(kind, points)
        assert isinstance(sampler, LayeredSampler)
        assert sampler.points_per_ray == points
        assert sampler.typical_delta == pytest.approx(spacing(sampler))
        depth.append(sampler.typical_delta * (points - (1 if kind == "planes" else 2)))
    assert depth[0] == pytest.approx(depth[1], rel=1e-2)


def test_an_unknown_kind_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no sampler of kind 'moebius'"):
        analytic_scene(size=2, views=1).build("moebius", 8)
