"""Noise and error: statistics by hand, known rates, and independence of how the work is cut."""

import math
from collections.abc import Sequence

import pytest
import torch

from gram.analysis.sampler_swap import analytic_scene
from gram.analysis.sampling_noise import (
    NoSuchSamplerError,
    SampledScene,
    SamplingNoise,
    draw,
    measure,
    reference_of,
    summarise,
)
from gram.rendering.samplers import Sampler

KINDS = ("manifold", "spheres", "planes", "stratified", "hierarchical", "neusample")


@pytest.fixture(scope="module")
def subject() -> SampledScene:
    return analytic_scene(size=12, views=1)


def by_points(subject: SampledScene, kind: str, points: Sequence[int], seeds: int = 4) -> list[SamplingNoise]:
    measured, skipped = measure(subject, [kind], points, seeds=seeds)
    assert not skipped
    return measured


def rate(measured: list[SamplingNoise], name: str) -> float:
    """Exponent of n between the first and the last measurement."""
    first, last = measured[0], measured[-1]
    return math.log(getattr(last, name) / getattr(first, name)) / math.log(last.points / first.points)


def test_the_numbers_are_what_the_docstring_says() -> None:
    images = torch.tensor([[0.0, 1.0, 0.0], [0.2, 1.0, 0.4]])[:, None, None, :]  # 2 seeds of one pixel
    found = summarise(images, torch.zeros(1, 1, 3), torch.ones(1, 1, 3), sampler="any", points=6)
    assert found.std == pytest.approx(math.sqrt((0.02 + 0.0 + 0.08) / 3))
    assert found.std_max == pytest.approx(math.sqrt(0.08))
    assert found.rmse == pytest.approx(math.sqrt((1 + 0.04 + 1 + 0.16) / 6))
    assert found.psnr == pytest.approx(20 * math.log10(2 / found.rmse))
    assert found.integral_rmse == pytest.approx(math.sqrt((1 + 0 + 1 + 0.64 + 0 + 0.36) / 6))
    bias = float(images.mean(0).square().mean())
    assert found.rmse**2 == pytest.approx(bias + found.std**2 / 2)


def test_equal_pictures_have_no_noise_at_all_and_no_psnr() -> None:
    image = torch.rand(1, 2, 5, 3, generator=torch.Generator().manual_seed(0))
    found = summarise(image.expand(7, -1, -1, -1), image[0], None, sampler="any", points=6)
    assert (found.std, found.std_p95, found.std_max, found.rmse) == (0.0, 0.0, 0.0, 0.0)
    assert (found.psnr, found.integral_rmse) == (None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_only_samplers_that_draw_at_random_are_noisy(subject: SampledScene, kind: str) -> None:
    (found,) = by_points(subject, kind, [12])
    assert (found.std > 0) == (kind in ("stratified", "hierarchical"))
    assert found.std_max >= found.std_p95
    assert found.rmse > 0


def test_noise_and_error_of_stratified_samples_fall_with_the_power_of_three_halves(
    subject: SampledScene,
) -> None:
    measured = by_points(subject, "stratified", [96, 384], seeds=8)
    assert rate(measured, "std") == pytest.approx(-1.5, abs=0.15)
    for name in ("rmse", "integral_rmse"):  # the bias falls faster, with the square
        assert -2.0 < rate(measured, name) < -1.4


@pytest.mark.parametrize("kind", ["neusample", "planes"])
def test_the_error_of_even_samples_falls_with_the_square(subject: SampledScene, kind: str) -> None:
    assert rate(by_points(subject, kind, [48, 192]), "rmse") < -1.85


def test_surfaces_that_follow_the_field_are_the_best_with_few_points(subject: SampledScene) -> None:
    best, *others = [by_points(subject, kind, [6])[0].rmse for kind in KINDS]
    assert best < min(others) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_do_not_depend_on_how_many_points_are_evaluated_at_once(
    subject: SampledScene, kind: str
) -> None:
    sampler = subject.build(kind, 6)
    whole, parts = (draw(sampler, subject.views, 3, points_at_once=count) for count in (2**20, 6 * 7))
    torch.testing.assert_close(parts, whole, rtol=0, atol=2e-6)


def test_every_seed_and_every_view_has_noise_of_its_own(subject: SampledScene) -> None:
    sampler = subject.build("stratified", 6)
    twice = SampledScene([subject.views[0], subject.views[0]], subject.build)
    first, again, other = (draw(sampler, twice.views, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    for a, b in ((first[0], first[1]), (first, other), (first[1], other[0])):
        assert (a - b).abs().mean() > 0.01


def test_what_there_is_not_is_skipped_with_the_reason(subject: SampledScene) -> None:
    def build(kind: str, points: int) -> Sampler:
        if kind == "planes" and points == 6:
            raise NoSuchSamplerError("not here")
        return subject.build(kind, points)

    done: list[int] = []
    some = SampledScene(subject.views[:1], build)
    measured, skipped = measure(some, ["planes", "neusample"], [6, 8], seeds=2, progress=done.append)
    assert [(one.sampler, one.points) for one in measured] == [
        ("planes", 8), ("neusample", 6), ("neusample", 8),
    ]  # fmt: skip
    assert [(one.sampler, one.points, one.why) for one in skipped] == [("planes", 6, "not here")]
    assert done[-1] == 4


def test_surfaces_are_compared_with_their_own_limit_and_volumes_with_the_integral(
    subject: SampledScene,
) -> None:
    references = {kind: reference_of(kind, subject.build(kind, 6)) for kind in KINDS}
    assert references == {
        "manifold": "manifold", "spheres": "spheres", "planes": "planes",
        "stratified": "stratified", "hierarchical": "stratified", "neusample": "stratified",
    }  # fmt: skip
