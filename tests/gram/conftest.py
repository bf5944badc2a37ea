"""One thread a process, and a model so small that every test of the core can afford it."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from small_model import small_settings

from gram.model.folder import build_discriminator, build_generator
from gram.model.generator import Generator
from gram.networks.discriminator import Discriminator


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
    return small_settings()


@pytest.fixture
def generator(settings: dict[str, Any]) -> Generator:
    torch.manual_seed(0)
    return build_generator(settings)


@pytest.fixture
def discriminator(settings: dict[str, Any]) -> Discriminator:
    torch.manual_seed(1)
    return build_discriminator(settings)
