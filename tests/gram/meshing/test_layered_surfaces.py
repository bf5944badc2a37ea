"""Layered surfaces: the file holds what was drawn, in order, and is drawn as layers over each other."""

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from gram.meshing.layers import ImageLayer, as_mesh, draw_layers, read_layers, write_layers

FRONT = torch.tensor([[math.pi / 2, math.pi / 2]])
FOV = math.radians(12)


def sheet(
    z: float,
    color: tuple[int, int, int, int],
    *,
    name: str = "sheet",
    opaque: bool = False,
    half: float = 0.2,
    grid: int = 2,
) -> ImageLayer:
    """A square that faces +z, larger than what the camera sees, of one colour."""
    side = np.linspace(-half, half, grid)
    x, y = np.meshgrid(side, side)
    texture = np.tile(np.array(color, np.uint8), (8, 8, 1))
    return ImageLayer(
        name=name, points=np.stack([x, y, np.full_like(x, z)], -1), texture=texture, opaque=opaque
    )


def drawn(*layers: ImageLayer, size: int = 5) -> torch.Tensor:
    """Colour in [0, 1] of the picture's middle."""
    image = draw_layers([as_mesh(layer) for layer in layers], FRONT, size=size, fov=FOV)
    return (image[0, :, size // 2, size // 2] + 1.0) / 2.0


def test_one_layer_lies_over_the_other_in_the_order_given() -> None:
    red, half_blue = sheet(0.0, (255, 0, 0, 255)), sheet(0.1, (0, 0, 255, 128))
    torch.testing.assert_close(drawn(red, half_blue), torch.tensor([127 / 255, 0.0, 128 / 255]))
    torch.testing.assert_close(drawn(half_blue, red), torch.tensor([1.0, 0.0, 0.0]))


def test_nothing_is_white() -> None:
    torch.testing.assert_close(drawn(sheet(0.0, (0, 0, 0, 51))), torch.full((3,), 0.8))


def test_an_opaque_layer_hides_what_is_behind_it_whatever_the_order() -> None:
    wall = sheet(0.0, (0, 255, 0, 10), opaque=True)
    green = torch.tensor([0.0, 1.0, 0.0])
    torch.testing.assert_close(drawn(wall, sheet(-0.1, (255, 0, 0, 255))), green)
    torch.testing.assert_close(drawn(wall, sheet(0.1, (255, 0, 0, 255))), torch.tensor([1.0, 0.0, 0.0]))


def test_pixels_of_a_texture_are_where_their_vertices_are() -> None:
    texture = np.full((3, 3, 4), 255, np.uint8)
    texture[..., :3] = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])[..., None]
    half = math.tan(FOV / 2)  # the outermost rays of the front camera meet the corners
    side = np.array([-half, 0.0, half])
    x, y = np.meshgrid(side, side)
    layer = ImageLayer(name="a", points=np.stack([x, y, np.zeros_like(x)], -1) * 1.0001, texture=texture)
    image = draw_layers([as_mesh(layer)], FRONT, size=3, fov=FOV)[0, 0]
    expected = torch.from_numpy(texture[::-1, :, 0].copy()) / 127.5 - 1.0  # the first row is the lowest
    torch.testing.assert_close(image, expected, rtol=0, atol=2e-3)


def test_triangles_face_the_side_from_which_columns_and_rows_turn_counter_clockwise() -> None:
    assert np.allclose(as_mesh(sheet(0.0, (1, 2, 3, 4), grid=4)).face_normals, [0, 0, 1])


def test_invisible_cells_are_left_out_and_the_borders_of_visible_ones_kept() -> None:
    whole = sheet(0.0, (9, 9, 9, 255), grid=9)
    texture = whole.texture.copy()
    texture[:, :4, 3] = 0
    half_seen = ImageLayer(name="a", points=whole.points, texture=texture)
    left = as_mesh(half_seen).vertices[:, 0].min()
    assert -0.15 < left < 0.0  # nothing of the far left, all of what bilinear look-up can touch
    assert len(as_mesh(whole).faces) == 2 * 8 * 8
    nothing = ImageLayer(name="a", points=whole.points, texture=np.zeros_like(texture), opaque=True)
    assert len(as_mesh(nothing).faces) == 2 * 8 * 8


def test_the_file_draws_as_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)
    wall = sheet(-0.1, (20, 30, 40, 255), name="wall", opaque=True)
    layers = [wall, *(ImageLayer(name=f"s{i}", points=sheet(z, (0, 0, 0, 0), grid=5).points, texture=noise)
                      for i, z in enumerate((0.0, 0.05)))]  # fmt: skip
    write_layers(layers, tmp_path / "a.glb")
    ours = draw_layers([as_mesh(layer) for layer in layers], FRONT, size=9, fov=FOV)
    read = draw_layers(read_layers(tmp_path / "a.glb"), FRONT, size=9, fov=FOV)
    torch.testing.assert_close(read, ours, rtol=0, atol=1e-4)


def test_viewers_are_told_to_draw_without_light_in_order_and_transparently(tmp_path: Path) -> None:
    write_layers(
        [sheet(0.0, (1, 2, 3, 4), name="wall", opaque=True), sheet(0.1, (1, 2, 3, 4), name="skin")],
        tmp_path / "a.glb",
    )
    content = (tmp_path / "a.glb").read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    tree = json.loads(content[20 : 20 + length])
    assert [m["alphaMode"] for m in tree["materials"]] == ["OPAQUE", "BLEND"]
    assert all("KHR_materials_unlit" in m["extensions"] for m in tree["materials"])
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    nodes = [node["name"] for node in tree["nodes"] if "mesh" in node]
    assert nodes == ["wall", "skin"]


def test_no_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no layers"):
        write_layers([], tmp_path / "a.glb")
