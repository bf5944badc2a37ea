"""16 bits of a turn are enough, and whole turns fall away."""

import math

import pytest
import torch

from gram.ops.phases import HIT_ROWS, cosine, find_blocks, in_turns, sine, to_phases
from gram.ops.reference import Layer


@pytest.mark.parametrize("turns", [1.0, 200.0, 1e6])
def test_sine_and_cosine_are_exact_to_half_a_unit_however_many_turns(turns: float) -> None:
    exact = torch.linspace(-turns, turns, 100_003, dtype=torch.float64).float()  # as float32 knows it
    phases = to_phases(exact)
    assert phases.dtype == torch.int16
    tolerance = math.tau * (2.0**-17 + 2.0**-24)
    assert (sine(phases) - torch.sin(exact.double() * math.tau)).abs().max() < tolerance
    assert (cosine(phases) - torch.cos(exact.double() * math.tau)).abs().max() < tolerance


@pytest.mark.parametrize(
    ("turns", "units"),
    [
        (0.5, -32768),
        (-0.5, -32768),
        (0.49999, 32767),
        (0.499999, -32768),
        (0.25, 16384),
        (-7.25, -16384),
        (3.0, 0),
    ],
)
def test_half_a_turn_is_minus_half_a_turn(turns: float, units: int) -> None:
    assert to_phases(torch.tensor(turns)).item() == units


def test_a_layer_of_radians_keeps_its_function_in_turns() -> None:
    torch.manual_seed(0)
    layer = Layer(torch.randn(2, 5, 3 + 7), torch.randn(2, 5), torch.randn(4, 5), sees_directions=True)
    half = in_turns(layer, torch.float16, first=False)
    assert half.weight is not None and half.slope is not None and half.head is not None
    assert (half.weight.dtype, half.head.dtype) == (torch.float16, torch.float16)
    joined = torch.cat([half.slope, half.weight.float()], -1) * math.tau
    torch.testing.assert_close(joined, layer.weight, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(half.slope * math.tau, layer.weight[..., :3])
    torch.testing.assert_close(half.bias * math.tau, layer.bias)


def test_the_first_layer_has_no_half_precision_weight() -> None:
    layer = Layer(torch.ones(1, 5, 3), torch.ones(1, 5), None)
    half = in_turns(layer, torch.float16, first=True)
    assert half.weight is None and half.head is None
    assert half.slope is not None and half.slope.dtype == torch.float32


@pytest.mark.parametrize("n", [1, HIT_ROWS, 5 * HIT_ROWS + 3])
def test_blocks_with_hits_come_first_and_are_counted(n: int) -> None:
    mask = torch.rand(3, n, generator=torch.Generator().manual_seed(0)) > 0.99
    mask[0] = False
    mask[1] = True
    hits = find_blocks(mask)
    for image in range(3):
        filled = [i for i in range(math.ceil(n / HIT_ROWS)) if mask[image, i * HIT_ROWS :][:HIT_ROWS].any()]
        count = int(hits.counts[image])
        assert hits.blocks[image, :count].tolist() == filled
        assert sorted(hits.blocks[image].tolist()) == list(range(math.ceil(n / HIT_ROWS)))
