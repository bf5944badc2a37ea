"""The radiance field against the method's formula, layer by layer, modulation unfolded."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gram.networks.layers import Film
from gram.networks.radiance import RadianceField


def make_field(**changes) -> RadianceField:
    torch.manual_seed(0)
    return RadianceField(**{"width": 9, "layers": 4, **changes}).double()


def make_inputs(field: RadianceField, batch: int = 2, n: int = 13) -> tuple[Tensor, Tensor, Film]:
    rng = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    film = Film(
        0.3 * normal(batch, field.film_layers, field.width), normal(batch, field.film_layers, field.width)
    )
    return 0.1 * normal(batch, n, 3), normalize(normal(batch, n, 3), dim=-1), film


def evaluate_slowly(
    field: RadianceField, points: Tensor, directions: Tensor, film: Film
) -> tuple[Tensor, Tensor]:
    """Section 5 of the method: sin(gamma . (W x + b) + beta), and the heads summed."""
    gamma = field.frequency_scale * film.frequencies + field.frequency_offset
    beta = film.phase_shifts

    def modulated(layer: torch.nn.Linear, x: Tensor, i: int) -> Tensor:
        return torch.sin(gamma[:, None, i] * (x @ layer.weight.mT + layer.bias) + beta[:, None, i])

    x = points * 2.0 / field.box
    features = []
    for i, layer in enumerate(field.layers):
        x = modulated(layer, x, i)
        features.append(x)
    density = sum((h(f) for h, f in zip(field.density_heads, features[1:], strict=True)), torch.zeros(()))
    if field.view_layer is not None:
        features[-1] = modulated(field.view_layer, torch.cat([directions, x], -1), len(field.layers))
    color = sum((h(f) for h, f in zip(field.color_heads, features[1:], strict=True)), torch.zeros(()))
    return torch.sigmoid(color) * (1 + 2e-3) - 1e-3, torch.log1p(torch.exp(density))[..., 0]


@pytest.mark.parametrize("view_dependent", [True, False])
@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("layers", [2, 8])
def test_values_and_all_gradients_equal_the_unfolded_formula(
    view_dependent: bool, recompute: bool, layers: int
) -> None:
    field = make_field(view_dependent=view_dependent, recompute=recompute, layers=layers)
    points, directions, film = make_inputs(field)
    leaves = [points.requires_grad_(), *(part.requires_grad_() for part in film), *field.parameters()]
    results = []
    for function in (field, lambda *inputs: evaluate_slowly(field, *inputs)):
        rgb, density = function(points, directions, film)
        loss = (rgb * torch.arange(3.0)).square().sum() + density.square().sum()
        results.append((rgb, density, *torch.autograd.grad(loss, leaves)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        assert theirs.abs().max() > 0


def test_in_half_precision_values_and_gradients_equal_the_formula_within_a_hundredth() -> None:
    field = make_field(width=32, layers=8)
    field.matmul_dtype = torch.float16
    points, directions, film = make_inputs(field)
    leaves = [points.requires_grad_(), *(part.requires_grad_() for part in film), *field.parameters()]
    results = []
    for function in (field, lambda *inputs: evaluate_slowly(field, *inputs)):
        rgb, density = function(points, directions, film)
        loss = (rgb * torch.arange(3.0)).square().sum() + density.square().sum()
        results.append((rgb.detach(), density.detach(), *torch.autograd.grad(loss, leaves)))
    for ours, theirs in zip(*results, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-2


@pytest.mark.parametrize("half", [None, torch.float16])
def test_points_that_are_no_hit_change_nothing_where_there_is_a_hit(half: torch.dtype | None) -> None:
    field = make_field()
    field.matmul_dtype = half
    points, directions, film = make_inputs(field, n=100)
    hit = torch.rand(2, 100, generator=torch.Generator().manual_seed(2)) > 0.5
    for ours, everywhere in zip(
        field(points, directions, film, hit), field(points, directions, film), strict=True
    ):
        assert torch.equal(ours[hit], everywhere[hit])
        assert ours.isfinite().all()


def test_published_constants_are_the_defaults() -> None:
    field = RadianceField()
    assert (field.width, len(field.layers), field.film_layers) == (256, 8, 9)
    assert (field.frequency_scale, field.frequency_offset, field.box) == (15.0, 30.0, 0.24)
    assert len(field.density_heads) == len(field.color_heads) == 7


def test_directions_change_the_colour_and_never_the_density() -> None:
    field = make_field()
    points, directions, film = make_inputs(field)
    rgb, density = field(points, directions, film)
    other_rgb, other_density = field(points, -directions, film)
    assert torch.equal(density, other_density)
    assert (rgb - other_rgb).abs().max() > 1e-6


def test_without_view_dependence_directions_change_nothing() -> None:
    field = make_field(view_dependent=False)
    points, directions, film = make_inputs(field)
    for ours, theirs in zip(field(points, directions, film), field(points, -directions, film), strict=True):
        assert torch.equal(ours, theirs)
    assert field.film_layers == len(field.layers)


def test_only_the_ratio_of_points_to_the_box_matters() -> None:
    points, directions, film = make_inputs(make_field())
    small, large = make_field(box=0.24), make_field(box=2.0)
    for ours, theirs in zip(small(points, directions, film),
                            large(points * 2.0 / 0.24, directions, film), strict=True):  # fmt: skip
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_each_image_has_its_own_modulation_and_no_other() -> None:
    field = make_field()
    points, directions, film = make_inputs(field, batch=3)
    together = field(points, directions, film)
    for i in range(3):
        one = slice(i, i + 1)
        alone = field(points[one], directions[one], film.rows(one))
        for ours, theirs in zip(alone, together, strict=True):
            torch.testing.assert_close(ours, theirs[one], rtol=1e-13, atol=1e-14)
    assert (together[0][0] - together[0][1]).abs().max() > 1e-4


def test_colours_and_densities_keep_their_ranges_at_extremes() -> None:
    field = make_field()
    with torch.no_grad():
        for head in (*field.density_heads, *field.color_heads):
            head.weight.mul_(1e4)
    rgb, density = field(*make_inputs(field, n=200))
    assert -1e-3 <= float(rgb.detach().min()) < 0.0
    assert 1.0 < float(rgb.detach().max()) <= 1.0 + 1e-3 + 1e-12
    assert (density >= 0).all()
    assert density.isfinite().all()


def test_a_field_of_one_layer_is_refused_as_no_head_would_read_it() -> None:
    with pytest.raises(ValueError, match="layers = 1: the heads read every layer but the first"):
        RadianceField(width=4, layers=1)
