"""Closed-form fields in the box that heads live in."""

import pytest
import torch

BOX = [[-0.12, 0.12]] * 3


@pytest.fixture(scope="session")
def box():
    return BOX


@pytest.fixture(scope="session")
def ball():
    """Occupancy of a ball: a smooth step from 0 to 1 at its radius."""

    def make(radius, centre=(0.0, 0.0, 0.0), sharpness=200.0):
        return lambda points: torch.sigmoid(
            (radius - (points - torch.tensor(centre)).norm(dim=-1)) * sharpness
        )

    return make
