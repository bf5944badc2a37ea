"""The generator: consistent ways to a picture, truncation, and queries of the field."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.model.folder import build_generator
from gram.model.generator import MEAN_FILM_LATENTS, Generator
from gram.networks.layers import Film
from gram.ops.backend import CPU, LEAN, Backend, use_backend
from gram.rendering.samplers import Noise

SIZE = 6
POSES = torch.tensor([[1.5, 1.4], [1.7, 1.9], [1.4, 1.6]])
FRONTAL = torch.full((1, 2), math.pi / 2)


def some_latents(count: int = 3, seed: int = 5) -> Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("max_rays", [1, 7, 36, 10_000])
def test_the_number_of_rays_at_a_time_changes_nothing(generator: Generator, max_rays: int) -> None:
    whole = generator.render(some_latents(), POSES, size=SIZE)
    parts = generator.render(some_latents(), POSES, size=SIZE, max_rays=max_rays)
    for ours, theirs in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


def test_forward_and_render_make_the_same_picture(generator: Generator) -> None:
    image = generator(some_latents(), POSES, size=SIZE)
    rendered = generator.render(some_latents(), POSES, size=SIZE)
    assert image.requires_grad
    assert not any(part.requires_grad for part in rendered)
    torch.testing.assert_close(rendered.image, image.detach(), rtol=0, atol=2e-6)
    assert image.detach().std() > 0.01


def test_each_image_depends_on_its_own_latent_and_pose_only(generator: Generator) -> None:
    together = generator.render(some_latents(), POSES, size=SIZE)
    for i in range(3):
        one = slice(i, i + 1)
        alone = generator.render(some_latents()[one], POSES[one], size=SIZE)
        for ours, theirs in zip(alone, together, strict=True):
            torch.testing.assert_close(ours, theirs[one], rtol=0, atol=2e-6)
    assert (together.image[0] - together.image[1]).abs().max() > 1e-3


def test_a_pixel_is_what_its_ray_sees(generator: Generator) -> None:
    z, row, column = some_latents(1), 1, 4
    rendered = generator.render(z, POSES[:1], size=SIZE)
    rays = pixel_rays(look_at_origin(POSES[:1]), size=SIZE, fov=generator.fov)
    pixel = row * SIZE + column
    one = Rays(rays.origins[:, pixel : pixel + 1], rays.directions[:, pixel : pixel + 1])
    with torch.no_grad():
        seen = generator.shade(generator.mapping(z), one)
    torch.testing.assert_close(rendered.image[0, :, row, column], 2 * seen.rgb[0, 0] - 1, rtol=0, atol=2e-6)
    torch.testing.assert_close(rendered.depth[0, row, column], seen.depth[0, 0], rtol=0, atol=2e-6)


def test_off_the_cpu_images_and_gradients_are_the_same(generator: Generator) -> None:
    generator = generator.double()
    z, poses = some_latents().double(), POSES.double()
    probe = torch.linspace(-1.0, 1.0, 3 * 3 * SIZE**2, dtype=torch.float64).view(3, 3, SIZE, SIZE)

    def run() -> tuple[Tensor, list[Tensor]]:
        image = generator(z, poses, size=SIZE)
        return image, list(torch.autograd.grad((image * probe).sum(), list(generator.parameters())))

    expected, expected_gradients = run()
    use_backend(generator, LEAN)
    image, gradients = run()
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-12)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("backend", [CPU, LEAN], ids=lambda backend: backend.name)
def test_points_go_through_the_radiance_field_with_their_hits_and_off_the_cpu_by_level(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, backend: Backend
) -> None:
    use_backend(generator, backend)
    rays = pixel_rays(look_at_origin(POSES), size=SIZE, fov=generator.fov)
    samples = generator.sampler.sample(rays)
    seen: list[Tensor] = []

    def radiance(points: Tensor, directions: Tensor, film: Film, hit: Tensor) -> tuple[Tensor, Tensor]:
        seen.extend((points, directions, hit))
        return points, points[..., 0]

    monkeypatch.setattr(generator.radiance, "forward", radiance)
    generator.shade(generator.mapping(some_latents()), rays)
    expected = (rays.at(samples.t), rays.directions[:, :, None].expand(-1, -1, 5, -1), samples.hit)
    for ours, theirs in zip(seen, expected, strict=True):
        assert torch.equal(ours, (theirs if backend.host_sync else theirs.transpose(1, 2)).flatten(1, 2))
    assert 0.0 < samples.hit.float().mean() < 1.0


def test_one_camera_is_sampled_once_for_all_its_images(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, sample, sampled = some_latents(4), generator.sampler.sample, []
    poses = POSES[[0, 0, 1, 1]]
    alone = [generator.render(z[i : i + 1], poses[i : i + 1], size=SIZE, max_rays=20) for i in range(4)]

    def counted(rays: Rays, noise: Noise | None):
        sampled.append(rays)
        return sample(rays, noise)

    monkeypatch.setattr(generator.sampler, "sample", counted)
    together = generator.render(z, poses, size=SIZE, max_rays=20)
    assert len(sampled) == 2 * 2  # cameras times parts of their rays
    for ours, theirs in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.cat(theirs), rtol=0, atol=1e-5)


def test_an_opaque_plane_leaves_no_hole(generator: Generator) -> None:
    rendered = generator.render(some_latents(), POSES, size=SIZE)
    torch.testing.assert_close(rendered.opacity, torch.ones(3, SIZE, SIZE), rtol=0, atol=1e-6)
    assert rendered.image.min() >= -1.002
    assert rendered.image.max() <= 1.002
    assert rendered.depth.min() > 0.88


def test_the_median_depth_is_that_of_a_surface(generator: Generator) -> None:
    rendered = generator.render(some_latents(), POSES, size=SIZE)
    t = generator.sampler.sample(pixel_rays(look_at_origin(POSES), size=SIZE, fov=generator.fov)).t
    distance = (t - rendered.median_depth.view(3, -1, 1)).abs().amin(-1)
    torch.testing.assert_close(distance, torch.zeros_like(distance), rtol=0, atol=1e-6)


def test_rays_past_every_surface_see_white_at_far_with_finite_gradients(settings: dict[str, Any]) -> None:
    settings["sampler"] |= {"background_z": None, "first_level": 900.0, "last_level": 800.0}
    generator = build_generator(settings)
    rendered = generator.render(some_latents(), POSES, size=SIZE)
    assert torch.equal(rendered.image, torch.ones(3, 3, SIZE, SIZE))
    assert torch.equal(rendered.depth, torch.full((3, SIZE, SIZE), 1.12))
    assert torch.equal(rendered.median_depth, torch.full((3, SIZE, SIZE), 1.12))
    assert torch.equal(rendered.opacity, torch.zeros(3, SIZE, SIZE))
    generator(some_latents(), POSES, size=SIZE).sum().backward()
    assert all(p.grad is None or torch.equal(p.grad, torch.zeros_like(p)) for p in generator.parameters())


@pytest.mark.parametrize("yaw", [0.0, math.pi, -math.pi / 2])
@pytest.mark.parametrize("mode", ["linear", "refined"])
def test_side_and_back_views_are_finite_with_finite_gradients(
    settings: dict[str, Any], yaw: float, mode: str
) -> None:
    settings["sampler"]["mode"] = mode
    generator = build_generator(settings)
    poses = torch.tensor([[math.pi / 2, yaw]])
    rendered = generator.render(some_latents(1), poses, size=5)
    assert all(part.isfinite().all() for part in rendered)
    assert (rendered.depth > 0).all()
    generator(some_latents(1), poses, size=5).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in generator.parameters())


@pytest.mark.parametrize("mode", ["linear", "refined"])
@pytest.mark.parametrize("view_dependent", [True, False])
def test_every_parameter_gets_a_finite_gradient(
    settings: dict[str, Any], mode: str, view_dependent: bool
) -> None:
    settings["sampler"]["mode"] = mode
    settings["radiance"]["view_dependent"] = view_dependent
    torch.manual_seed(0)
    generator = build_generator(settings)
    (generator(some_latents(), POSES, size=SIZE) * torch.rand(3, 3, SIZE, SIZE)).sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("view_dependent", [True, False])
def test_gradients_share_no_memory_so_that_clipping_scales_each_once(
    settings: dict[str, Any], view_dependent: bool
) -> None:
    settings["radiance"]["view_dependent"] = view_dependent
    generator = build_generator(settings)
    generator(some_latents(), POSES, size=SIZE).sum().backward()
    spans = sorted(
        (p.grad.data_ptr(), p.grad.data_ptr() + p.grad.numel() * p.grad.element_size(), name)
        for name, p in generator.named_parameters()
        if p.grad is not None
    )
    overlaps = [(a[2], b[2]) for a, b in pairwise(spans) if b[0] < a[1]]
    assert overlaps == []


def test_no_truncation_is_the_latent_itself(generator: Generator) -> None:
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    z = some_latents()
    for ours, theirs in zip(generator.truncated_film(z, 1.0), generator.mapping(z), strict=True):
        assert torch.equal(ours, theirs)


def test_full_truncation_is_the_mean_for_every_latent(generator: Generator) -> None:
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    frontal = FRONTAL.expand(3, 2)
    images = generator.render(some_latents(), frontal, size=SIZE, psi=0.0).image
    torch.testing.assert_close(images, images[:1].expand_as(images), rtol=0, atol=1e-6)
    film = Film(generator.mean_frequencies[None], generator.mean_phase_shifts[None])
    with torch.no_grad():
        mean = generator.shade(film, pixel_rays(look_at_origin(FRONTAL), size=SIZE, fov=generator.fov))
    expected = 2 * mean.rgb[0].T.view(3, SIZE, SIZE) - 1
    torch.testing.assert_close(images[0], expected, rtol=0, atol=2e-6)


def test_truncation_is_linear_in_the_modulation(generator: Generator) -> None:
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    film, half = generator.mapping(some_latents()), generator.truncated_film(some_latents(), 0.7)
    expected = generator.mean_frequencies + 0.7 * (film.frequencies - generator.mean_frequencies)
    torch.testing.assert_close(half.frequencies, expected)
    expected = generator.mean_phase_shifts + 0.7 * (film.phase_shifts - generator.mean_phase_shifts)
    torch.testing.assert_close(half.phase_shifts, expected)


def test_the_mean_modulation_is_that_of_ten_thousand_latents(generator: Generator) -> None:
    generator.update_mean_film(generator=torch.Generator().manual_seed(9))
    z = torch.randn(MEAN_FILM_LATENTS, 8, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        film = generator.mapping(z)
    assert MEAN_FILM_LATENTS == 10_000
    torch.testing.assert_close(generator.mean_frequencies, film.frequencies.mean(0))
    torch.testing.assert_close(generator.mean_phase_shifts, film.phase_shifts.mean(0))


def test_queries_of_the_field_agree_with_what_is_rendered(generator: Generator) -> None:
    z, rays = some_latents(1), pixel_rays(look_at_origin(FRONTAL), size=SIZE, fov=generator.fov)
    with torch.no_grad():
        samples = generator.sampler.sample(rays)
        points = rays.at(samples.t)
        directions = rays.directions[:, :, None].expand_as(points)
        rgb, density = generator.radiance(
            points.flatten(1, 2), directions.flatten(1, 2), generator.mapping(z)
        )
        alpha = generator.sampler.occupancy(samples, density.view_as(samples.t))[..., :4]
    flat = points[..., :4, :].reshape(-1, 3)
    occupancy = generator.occupancy(z[0], flat).view_as(alpha)
    hit = samples.hit[..., :4]
    assert hit.any()
    torch.testing.assert_close(occupancy[hit], alpha[hit], rtol=1e-5, atol=1e-7)
    colour = generator.color(z[0], points.reshape(-1, 3), directions.reshape(-1, 3))
    torch.testing.assert_close(colour, rgb[0].clamp(0, 1), rtol=1e-5, atol=1e-6)
    assert occupancy.min() >= 0.0
    assert occupancy.max() <= 1.0


@pytest.mark.parametrize("fov", [0.0, -0.1, math.pi, 12.0])
def test_a_field_of_view_that_is_no_angle_in_radians_is_refused(settings: dict[str, Any], fov: float) -> None:
    settings["generator"]["fov"] = fov
    with pytest.raises(ValueError, match=f"fov = {fov}: an angle between 0 and pi radians is needed"):
        build_generator(settings)
