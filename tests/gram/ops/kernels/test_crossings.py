"""The kernel compiles for an H100 and finds exactly what the plain search finds."""

from typing import Any

import pytest
import torch
from interpreted import pass_with_kernels


@pytest.mark.parametrize("levels", [23, 48])
def test_it_compiles_for_an_h100(launches: list[Any], levels: int) -> None:
    from gram.ops.kernels.crossings import first_crossings

    first_crossings(torch.zeros(1, 100, 64), torch.zeros(levels))
    assert len(launches) == 1


def test_it_finds_what_its_twin_finds() -> None:
    pass_with_kernels("crossings_and_twin.py")
