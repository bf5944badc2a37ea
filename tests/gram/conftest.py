"""One thread a process, and a model so small that every test of the core can afford it."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gram.discriminator import Discriminator
from gram.generator import Generator
from gram.models import build_discriminator, build_generator

SETTINGS: dict[str, Any] = {
    "generator": {"fov": math.radians(12), "z_dim": 8, "mapping_width": 16, "mapping_layers": 2},
    "radiance": {"width": 16, "layers": 3, "box": 0.24},
    "manifold": {"width": 32, "hidden_layers": 2, "centre": [0.0, 0.0, -1.5], "init": "sphere"},
    "sampler": {
        "kind": "manifold", "levels": 4, "first_level": 23.0, "last_level": 8.0,
        "near": 0.88, "far": 1.12, "num_samples": 12, "delta": 0.04,
    },
    "discriminator": {"size": 8, "width": 0.02},
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> Iterator[None]:
    """Test processes share the cores; threads that wait for each other would take many times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings() -> dict[str, Any]:
    """Of the small model; a test may change its copy."""
    return copy.deepcopy(SETTINGS)


@pytest.fixture
def generator(settings: dict[str, Any]) -> Generator:
    torch.manual_seed(0)
    return build_generator(settings)


@pytest.fixture
def discriminator(settings: dict[str, Any]) -> Discriminator:
    torch.manual_seed(1)
    return build_discriminator(settings)
