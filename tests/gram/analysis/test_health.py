"""What is said about a generator, where the answer is known."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gram.analysis.health import Probe, all_finite, diagnose, diversity, ray_numbers
from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.geometry.poses import GaussianPoses
from gram.model.folder import build_generator
from gram.model.generator import Generator
from gram.networks.manifold import SCALE, SPHERE_SLOPE, ManifoldPredictor
from gram.rendering.isosurfaces import Mode
from gram.rendering.samplers import Samples, SurfaceSampler

RADII = [0.276, 0.216, 0.156, 0.096]  # of the levels 23, 18, 13 and 8, whose spheres have these radii
CENTRE = torch.tensor([0.0, 0.0, -0.18])
FRONTAL = torch.full((1, 2), math.pi / 2)


class Spheres(ManifoldPredictor):
    """What the geometric initialisation aims at, exactly."""

    def forward(self, points: Tensor) -> Tensor:
        return SPHERE_SLOPE * (points * SCALE - self.centre).norm(dim=-1)


def sphere_sampler(mode: Mode = "refined", background_z: float | None = -0.12) -> SurfaceSampler:
    return SurfaceSampler(
        Spheres(width=4), levels=4, first_level=23.0, last_level=8.0, near=0.7, far=1.4, num_samples=1024,
        delta=0.04, mode=mode, background_z=background_z,
    )  # fmt: skip


def probe(z_dim: int = 8, seed: int = 3, **changes: int) -> Probe:
    return Probe.draw(z_dim, GaussianPoses(), seed=seed, **changes)


@torch.no_grad()
def numbers_of(sampler: SurfaceSampler, rays: Rays) -> dict[str, float]:
    samples = sampler.sample(rays)
    weights = torch.full_like(samples.t, 1.0 / samples.t.shape[-1])
    return {name: float(value) for name, value in ray_numbers(sampler, samples, weights).items()}


def test_along_a_radius_the_spacing_of_concentric_spheres_is_that_of_their_radii() -> None:
    origins = torch.tensor([[0.0, 0.0, 1.0], [0.3, 0.4, 0.8]])
    rays = Rays(origins, torch.nn.functional.normalize(CENTRE - origins, dim=-1))
    found = numbers_of(sphere_sampler(), rays)
    assert found["spacing/mean"] == pytest.approx(0.06, abs=2e-6)
    assert found["spacing/min"] == pytest.approx(0.06, abs=2e-6)
    assert [found[f"hits/0{i}"] for i in range(4)] == [1.0] * 4


def test_hits_and_spacing_of_concentric_spheres_are_those_of_geometry() -> None:
    poses = GaussianPoses().sample(6, generator=torch.Generator().manual_seed(0))
    rays = pixel_rays(look_at_origin(poses), size=9, fov=math.radians(16))
    found = numbers_of(sphere_sampler(), rays)
    nearest = ((CENTRE - rays.origins) * rays.directions).sum(-1)
    distance = (rays.at(nearest[..., None])[..., 0, :] - CENTRE).norm(dim=-1)
    entries = [nearest - (radius**2 - distance**2).clamp(min=0).sqrt() for radius in RADII]
    met = [distance < radius for radius in RADII]
    for i in range(4):
        assert found[f"hits/0{i}"] == pytest.approx(float(met[i].float().mean())), i
    gaps = torch.cat([(entries[i + 1] - entries[i])[met[i + 1]] for i in range(3)])
    assert found["spacing/mean"] == pytest.approx(float(gaps.mean()), abs=1e-5)
    assert found["spacing/min"] == pytest.approx(float(gaps.min()), abs=1e-5)
    assert 0.0 < found["hits/03"] < 1.0


def test_weights_of_the_levels_and_the_plane_are_means_over_rays() -> None:
    sampler = sphere_sampler()
    hit = torch.ones(2, 3, 5, dtype=torch.bool)
    weights = torch.tensor([0.1, 0.2, 0.0, 0.3, 0.4]).expand(2, 3, 5).clone()
    weights[0] = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])
    found = ray_numbers(sampler, Samples(torch.rand(2, 3, 5), hit), weights)
    for name, expected in (
        ("weight/00", 0.05), ("weight/01", 0.1), ("weight/02", 0.0), ("weight/03", 0.15),
        ("weight/plane", 0.7), ("opacity", 0.3),
    ):  # fmt: skip
        assert float(found[name]) == pytest.approx(expected), name


def test_a_white_background_has_no_plane(settings: dict[str, Any]) -> None:
    settings["sampler"]["background_z"] = None
    found = diagnose(build_generator(settings), probe())
    assert "weight/plane" not in found
    assert found["opacity"] == pytest.approx(sum(found[f"weight/0{i}"] for i in range(4)))


def test_levels_out_of_reach_are_met_by_no_ray_and_have_no_spacing(settings: dict[str, Any]) -> None:
    settings["sampler"] |= {"first_level": 900.0, "last_level": 800.0}
    found = diagnose(build_generator(settings), probe())
    assert [found[f"hits/0{i}"] for i in range(4)] == [0.0] * 4
    assert found["opacity"] == 0.0
    assert not any(name.startswith("spacing") for name in found)


def test_a_generator_that_ignores_its_latent_has_no_diversity(generator: Generator) -> None:
    assert diagnose(generator, probe())["diversity"] > 1e-3
    torch.nn.init.zeros_(list(generator.mapping.parameters())[-2])
    assert diagnose(generator, probe())["diversity"] < 1e-6


def test_diversity_is_the_deviation_over_images_not_over_pixels() -> None:
    ramp = torch.linspace(-1, 1, 48).view(1, 3, 4, 4)
    assert float(diversity(ramp.expand(5, 3, 4, 4))) == 0.0
    assert float(diversity(torch.cat([ramp, -ramp]))) == pytest.approx(float(ramp.abs().mean()))
    black_and_white = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert float(diversity(black_and_white)) == 1.0


def test_what_is_not_finite_is_counted(generator: Generator) -> None:
    assert diagnose(generator, probe())["nonfinite"] == 0.0
    torch.nn.init.constant_(list(generator.mapping.parameters())[-1], math.nan)
    found = diagnose(generator, probe())
    assert found["nonfinite"] == 1.0
    assert math.isnan(found["diversity"])


def test_looking_changes_neither_weights_nor_randomness_and_repeats_itself(generator: Generator) -> None:
    before = [p.clone() for p in generator.parameters()]
    state = torch.get_rng_state()
    first = diagnose(generator, probe())
    assert torch.equal(torch.get_rng_state(), state)
    assert diagnose(generator, probe()) == first
    assert diagnose(generator, probe(seed=4)) != first
    assert all(p.grad is None for p in generator.parameters())
    assert all(torch.equal(p, q) for p, q in zip(generator.parameters(), before, strict=True))


def test_a_probe_is_a_few_small_pictures_of_the_prior() -> None:
    drawn = probe(count=4, size=5)
    assert (drawn.z.shape, drawn.poses.shape, drawn.size) == ((4, 8), (4, 2), 5)
    assert not torch.equal(drawn.poses[0], drawn.poses[1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_element_is_found(bad: float) -> None:
    tensors = [torch.zeros(3), torch.arange(4), torch.tensor(2.0)]
    assert all_finite(tensors)
    tensors[0][1] = bad
    assert not all_finite(tensors)
