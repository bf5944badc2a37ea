"""The cross-section shows the surfaces where they are, in the colour of their occupancy."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gram.model.folder import build_generator
from gram.model.generator import Generator
from gram.networks.manifold import SCALE, SPHERE_SLOPE, ManifoldPredictor
from gram.rendering.samplers import SurfaceSampler
from pipeline.config.loader import load
from pipeline.display.images import SECTION_SIDE, cross_section

HALF = 0.18  # 0.75 (far - near)
RADII = (0.276, 0.096)  # of the levels 23 and 8


class Spheres(ManifoldPredictor):
    """What the geometric initialisation aims at, exactly."""

    def forward(self, points: Tensor) -> Tensor:
        return SPHERE_SLOPE * (points * SCALE - self.centre).norm(dim=-1)


def generator_of(**sampler: Any) -> Generator:
    model = load(["experiment=tiny"]).model
    torch.manual_seed(0)
    generator = build_generator({
        "generator": {"fov": 0.2, "z_dim": model.z_dim, "mapping_width": 8, "mapping_layers": 1},
        "radiance": {"width": 8, "layers": 2, "box": 0.24},
        "manifold": {"width": 8, "hidden_layers": 1, "centre": [0.0, 0.0, -1.5]},
        "sampler": {"kind": "manifold", "levels": 2, "first_level": 23.0, "last_level": 8.0,
                    "near": 0.88, "far": 1.12, "num_samples": 8, "delta": 0.14, **sampler},
    })  # fmt: skip
    assert isinstance(generator.sampler, SurfaceSampler)
    generator.sampler.manifold = Spheres(width=4)
    return generator


def coordinates(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, z) in world units of the pixels that are drawn."""
    rows, columns = np.nonzero(drawn)
    return tuple(-HALF + 2 * HALF * at / (SECTION_SIDE - 1) for at in (columns, rows))  # pyright: ignore


def test_lines_are_where_the_surfaces_are() -> None:
    generator = generator_of(background_z=None)
    picture = cross_section(generator, torch.randn(2, generator.z_dim))
    assert picture.shape == (SECTION_SIDE, SECTION_SIDE, 3)
    x, z = coordinates((picture != 255).any(-1))
    radius = np.hypot(x, z + 0.18)
    pixel = 2 * HALF / (SECTION_SIDE - 1)
    off = np.abs(radius[:, None] - np.array(RADII)).min(1)
    assert off.max() < 1.5 * pixel
    for expected in RADII:
        assert (np.abs(radius - expected) < pixel).sum() > SECTION_SIDE // 2


@pytest.mark.parametrize("delta", [1e-8, 1e8])
def test_colours_tell_invisible_from_opaque(delta: float) -> None:
    generator = generator_of(background_z=None, delta=delta)
    picture = cross_section(generator, torch.randn(2, generator.z_dim))
    drawn = picture[(picture != 255).any(-1)].astype(int)
    red, blue = drawn[:, 0], drawn[:, 2]
    assert ((red > blue) if delta > 1 else (red < 60)).mean() > 0.95


def test_the_background_plane_is_a_grey_line() -> None:
    generator = generator_of()
    picture = cross_section(generator, torch.randn(1, generator.z_dim))
    _, z = coordinates((picture == 160).all(-1))
    assert len(z) > 0.8 * SECTION_SIDE
    np.testing.assert_allclose(z, -0.12, atol=HALF / (SECTION_SIDE - 1))
