"""Random numbers of samplers are uniform, independent, and a pure function of where they are used."""

import numpy as np
import pytest
import torch
from sampled_rays import some_noise
from scipy.stats import chisquare, kstest

from gram.rendering.samplers.counter_rng import Noise, uniform


def test_numbers_are_uniform() -> None:
    numbers = uniform(some_noise(4), 500, 50).flatten().numpy()
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    assert kstest(numbers, "uniform").pvalue > 0.01


@pytest.mark.parametrize("axis", ["images", "rays", "places", "streams"])
def test_neighbours_are_independent(axis: str) -> None:
    noise = Noise(torch.arange(40))  # neighbouring seeds, too
    numbers = uniform(noise, 60, 30)
    pairs = {
        "images": (numbers[:-1], numbers[1:]),
        "rays": (numbers[:, :-1], numbers[:, 1:]),
        "places": (numbers[..., :-1], numbers[..., 1:]),
        "streams": (numbers, uniform(noise, 60, 30, stream=1)),
    }
    first, second = (part.flatten().numpy() for part in pairs[axis])
    counts, _, _ = np.histogram2d(first, second, bins=8, range=[[0, 1], [0, 1]])
    assert chisquare(counts.flatten()).pvalue > 0.001


def test_a_part_of_the_rays_gets_the_numbers_of_the_whole() -> None:
    noise = some_noise(3)
    whole = uniform(noise, 100, 7)
    part = uniform(noise.of(slice(1, 3), 40), 25, 7)
    assert torch.equal(part, whole[1:3, 40:65])


def test_fewer_places_are_the_first_of_many() -> None:
    assert torch.equal(uniform(some_noise(), 9, 4), uniform(some_noise(), 9, 11)[..., :4])


def test_another_seed_gives_other_numbers() -> None:
    assert (uniform(some_noise(seed=0), 50, 5) != uniform(some_noise(seed=1), 50, 5)).float().mean() > 0.99
