"""Inversions find the latents of a generator's own pictures."""

import copy
import math
from typing import Any

import pytest
import torch
from small_model import vivid_generator
from torch import Tensor

from gram.analysis.inversion import Inversion, invert
from gram.geometry.poses import GaussianPoses
from gram.model.generator import Generator

SIZE = 16
SUBJECTS, FITTED, UNSEEN = 2, 1, 3


@pytest.fixture
def drawn(settings: dict[str, Any]) -> Generator:
    """Latents that look different on surfaces that are hardly transparent."""
    settings["radiance"] |= {"frequency_scale": 2.0, "frequency_offset": 4.0}
    settings["sampler"] |= {"delta": 0.6}
    generator = vivid_generator(settings, layers=4.0, heads=8.0)
    with torch.no_grad():
        generator.mapping.output.weight.mul_(3.0)
    return generator


def some_poses() -> Tensor:
    rng = torch.Generator().manual_seed(3)
    return GaussianPoses().sample(SUBJECTS * (FITTED + UNSEEN), generator=rng).view(SUBJECTS, -1, 2)


def pictures(generator: Generator, z: Tensor, poses: Tensor) -> Tensor:
    """(subjects, views, 3, size, size)."""
    views = poses.shape[1]
    images = generator.render(z.repeat_interleave(views, 0), poses.flatten(0, 1), size=SIZE).image
    return images.view(len(z), views, 3, SIZE, SIZE)


def psnr(ours: Tensor, theirs: Tensor) -> float:
    return -10.0 * math.log10(float(((ours - theirs) / 2.0).square().mean()))


def of_own(generator: Generator, **options: Any) -> tuple[Inversion, Tensor, Tensor]:
    """An inversion of two of its own heads, all their pictures, and all poses."""
    z, poses = torch.randn(SUBJECTS, 8, generator=torch.Generator().manual_seed(2)), some_poses()
    images = pictures(generator, z, poses)
    given = {"steps": 100, "candidates": 32, "prior_weight": 0.0} | options
    return invert(generator, images[:, :FITTED], poses[:, :FITTED], **given), images, poses


def test_own_heads_are_recovered_on_views_never_seen(drawn: Generator) -> None:
    found, images, poses = of_own(drawn)
    others = torch.randn(64, SUBJECTS, 8, generator=torch.Generator().manual_seed(4))
    values = [psnr(pictures(drawn, z, poses)[:, FITTED:], images[:, FITTED:]) for z in (found.z, *others)]
    start = psnr(pictures(drawn, found.start, poses)[:, FITTED:], images[:, FITTED:])
    random = sorted(values[1:])
    assert values[0] > random[len(random) // 2] + 12.0
    assert values[0] > random[-1] + 3.0
    assert values[0] > start + 3.0


def test_the_loss_falls_for_every_subject(drawn: Generator) -> None:
    found, _, _ = of_own(drawn, tuning=4)
    assert found.loss.shape == (100, SUBJECTS)
    assert (found.loss[-1] < 0.5 * found.loss[0]).all()
    assert found.tuning_loss.shape == (4, SUBJECTS)
    assert (found.tuning_loss[-1] < found.tuning_loss[0]).all()


def test_the_start_is_the_most_alike_of_the_random_latents(drawn: Generator) -> None:
    found, images, poses = of_own(drawn, steps=1)
    tried = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    for i in range(SUBJECTS):
        drawings = pictures(drawn, tried, poses[i : i + 1, :FITTED].expand(32, -1, -1))
        distance = (drawings - images[i, :FITTED])[..., ::2, ::2].square().flatten(1).mean(1)
        assert torch.equal(found.start[i], tried[distance.argmin()])
        assert float(found.loss[0, i]) > 0.0


def test_subjects_are_found_alone_as_together(drawn: Generator) -> None:
    together, images, poses = of_own(drawn, steps=8)
    for i in range(SUBJECTS):
        one = slice(i, i + 1)
        alone = invert(
            drawn, images[one, :FITTED], poses[one, :FITTED], steps=8, candidates=32, prior_weight=0.0
        )
        torch.testing.assert_close(alone.z[0], together.z[i], rtol=1e-3, atol=1e-4)


def test_the_cut_into_parts_changes_nothing(drawn: Generator) -> None:
    whole, _, _ = of_own(drawn, steps=5, tuning=2)
    in_parts, _, _ = of_own(drawn, steps=5, tuning=2, max_rays=100)
    torch.testing.assert_close(in_parts.z, whole.z, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(in_parts.loss, whole.loss, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(in_parts.tuning_loss, whole.tuning_loss, rtol=1e-3, atol=1e-6)


def test_the_same_seed_finds_the_same(drawn: Generator) -> None:
    first, again, other = (of_own(drawn, steps=3, candidates=4, seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.z, again.z)
    assert not torch.equal(first.start, other.start)


def test_a_strong_prior_keeps_latents_near_the_middle(drawn: Generator) -> None:
    free, strong = (of_own(drawn, prior_weight=weight)[0].z.square().mean() for weight in (0.0, 1.0))
    assert float(strong) < 0.2 * float(free)


def test_tuning_works_on_a_copy_and_draws_the_view_better(drawn: Generator) -> None:
    before = copy.deepcopy(drawn.state_dict())
    found, images, poses = of_own(drawn, steps=3, candidates=4, tuning=20)
    assert all(torch.equal(value, before[name]) for name, value in drawn.state_dict().items())
    assert all(p.grad is None for p in drawn.parameters())
    assert len(found.tuned) == SUBJECTS
    for i, tuned in enumerate(found.tuned):
        one = slice(i, i + 1)
        latent, fitted = (
            psnr(pictures(drawn, found.z[one], poses[one, :FITTED]), images[one, :FITTED]),
            psnr(pictures(tuned, found.z[one], poses[one, :FITTED]), images[one, :FITTED]),
        )
        assert fitted > latent + 3.0
        assert torch.equal(
            tuned.sampler.state_dict()["manifold.output.weight"], before["sampler.manifold.output.weight"]
        )


def test_progress_counts_all_updates(drawn: Generator) -> None:
    seen: list[tuple[int, int]] = []
    of_own(drawn, steps=3, candidates=4, tuning=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 3 + 2 * SUBJECTS) for i in range(1, 3 + 2 * SUBJECTS + 1)]


@pytest.mark.parametrize(
    ("images", "poses", "complaint"),
    [
        ((1, 1, 3, 16, 12), (1, 1, 2), "the images are 12 x 16: cameras take square ones"),
        ((0, 1, 3, 16, 16), (0, 1, 2), "there are no images: 0 subjects"),
        ((2, 1, 3, 16, 16), (1, 2, 2), "poses of shape .1, 2, 2. for 2 subjects with 1 views"),
    ],
)
def test_wrong_sizes_are_refused(
    drawn: Generator, images: tuple[int, ...], poses: tuple[int, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        invert(drawn, torch.zeros(images), torch.ones(poses), steps=1)


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 1, "candidates": 0}])
def test_nothing_to_do_is_refused(drawn: Generator, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one of each is needed"):
        invert(drawn, torch.zeros(1, 1, 3, 16, 16), torch.ones(1, 1, 2), **options)
