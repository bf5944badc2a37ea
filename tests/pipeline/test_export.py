"""Where export looks for a surface."""

import pytest

from gram.models import build_generator
from pipeline.export import PLANE_MARGIN, bounds


def bounds_of(
    *, box: float, near: float, far: float, background_z: float | None
) -> list[tuple[float, float]]:
    settings = {
        "generator": {"fov": 0.5, "z_dim": 4, "mapping_width": 4, "mapping_layers": 1},
        "radiance": {"width": 4, "layers": 2, "box": box},
        "manifold": {"width": 4, "hidden_layers": 1, "centre": [0.0, 0.0, 0.0]},
        "sampler": {"kind": "manifold", "levels": 2, "first_level": 9.0, "last_level": 8.0, "num_samples": 4}
        | {"delta": 0.1, "near": near, "far": far, "background_z": background_z},
    }  # fmt: skip
    return bounds(build_generator(settings))


def test_heads_are_looked_for_in_front_of_the_plane() -> None:
    sides, _, depth = bounds_of(box=0.24, near=0.88, far=1.12, background_z=-0.12)
    assert sides == (-0.12, 0.12)
    assert depth == (-0.12 + PLANE_MARGIN, 0.12)


@pytest.mark.parametrize("box", [0.6, 2.0])
def test_nothing_is_looked_for_beyond_what_rays_cross(box: float) -> None:
    for low, high in bounds_of(box=box, near=0.7, far=1.3, background_z=None):
        assert (low, high) == pytest.approx((-0.3, 0.3))
