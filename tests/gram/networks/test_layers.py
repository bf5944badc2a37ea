"""FiLM-sine layers and the mapping network against their formulas."""

import math

import pytest
import torch

from gram.networks.layers import Film, FilmSine, MappingNetwork, sine_head


def make_mapping(**changes: int) -> MappingNetwork:
    torch.manual_seed(0)
    sizes = {"z_dim": 8, "width": 12, "hidden_layers": 3, "film_layers": 4, "film_width": 5}
    return MappingNetwork(**{**sizes, **changes})


def test_folding_equals_modulation_after_the_layer() -> None:
    torch.manual_seed(0)
    layer = FilmSine(7, 5).double()
    gamma, beta = 30 + 15 * torch.randn(3, 5).double(), torch.randn(3, 5).double()
    x = torch.randn(3, 11, 7).double()
    weight, bias = layer.fold(gamma, beta)
    unfolded = gamma[:, None] * layer(x) + beta[:, None]
    torch.testing.assert_close(x @ weight.mT + bias[:, None], unfolded, rtol=1e-13, atol=1e-12)


def test_gradients_of_the_folded_layer_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    layer = FilmSine(7, 5).double()
    gamma = torch.randn(3, 5).double().requires_grad_()
    beta = torch.randn(3, 5).double().requires_grad_()
    weight, bias = layer.fold(gamma, beta)
    d_weight, d_bias = torch.randn_like(weight), torch.randn_like(bias)
    inputs = [gamma, beta, layer.weight, layer.bias]
    found = torch.autograd.grad([weight, bias], inputs, [d_weight, d_bias])
    expected = [
        torch.einsum("boi,oi->bo", d_weight, layer.weight) + layer.bias * d_bias,
        d_bias,
        torch.einsum("bo,boi->oi", gamma, d_weight),
        (gamma * d_bias).sum(0),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("first", "bound"), [(True, 1 / 40), (False, math.sqrt(6 / 40) / 25)])
def test_sine_layers_start_uniform_within_the_published_bound(first: bool, bound: float) -> None:
    torch.manual_seed(0)
    weight = FilmSine(40, 200, first=first).weight.detach()
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_heads_start_like_the_layers_they_read() -> None:
    torch.manual_seed(0)
    weight = sine_head(300, 30).weight.detach()
    bound = math.sqrt(6 / 300) / 25
    assert 0.99 * bound < float(weight.abs().max()) <= bound


def test_the_mapping_network_is_its_formula_and_splits_frequencies_before_shifts() -> None:
    mapping, z = make_mapping(), torch.randn(6, 8)
    x = z
    for linear in mapping.hidden:
        x = x @ linear.weight.mT + linear.bias
        x = torch.where(x > 0, x, 0.2 * x)
    x = x @ mapping.output.weight.mT + mapping.output.bias
    film = mapping(z)
    torch.testing.assert_close(film.frequencies, x[:, :20].view(6, 4, 5))
    torch.testing.assert_close(film.phase_shifts, x[:, 20:].view(6, 4, 5))


def test_the_mapping_network_starts_kaiming_normal_with_a_quiet_output() -> None:
    mapping = make_mapping(z_dim=200, width=200, film_width=40)
    expected = math.sqrt(2 / (1 + 0.2**2) / 200)
    for linear in mapping.hidden:
        assert float(linear.weight.detach().std()) == pytest.approx(expected, rel=0.02)
    assert float(mapping.output.weight.detach().std()) == pytest.approx(0.25 * expected, rel=0.02)
    assert len(mapping.hidden) == 3


def test_lerp_goes_from_self_to_the_other() -> None:
    a, b = (Film(torch.randn(2, 3, 4).double(), torch.randn(2, 3, 4).double()) for _ in range(2))
    for weight in (0.0, 0.3, 1.0):
        for found, start, end in zip(a.lerp(b, weight), a, b, strict=True):
            torch.testing.assert_close(found, (1 - weight) * start + weight * end)
