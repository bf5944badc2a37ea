"""Files keep geometry, orientation and colours, and are whole or absent."""

import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from trimesh.visual import ColorVisuals

from gram.meshing import color_vertices, extract_surface, write_gif, write_glb, write_ply


@pytest.fixture(scope="module")
def nosed(box, ball):
    """A ball with a nose towards +z and a taller top towards +y; coloured by position."""

    def field(points):
        parts = [ball(0.05), ball(0.02, (0, 0, 0.06)), ball(0.03, (0, 0.06, 0))]
        return torch.stack([part(points) for part in parts]).amax(dim=0)

    mesh = extract_surface(field, bounds=box, resolution=32, level=0.5)
    return color_vertices(mesh, lambda points, _: points / 0.24 + 0.5)


def mesh_colors(mesh):
    assert isinstance(mesh.visual, ColorVisuals)
    return np.asarray(mesh.visual.vertex_colors)


def gltf_parts(path):
    """JSON and binary chunk of a GLB, read by its specification."""
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    json_length = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + json_length]), content[28 + json_length :]


def gltf_colors(path):
    tree, binary = gltf_parts(path)
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    assert (accessor["componentType"], accessor["type"], accessor["normalized"]) == (5123, "VEC4", True)
    assert view["byteLength"] == accessor["count"] * 8
    values = np.frombuffer(binary, "<u2", accessor["count"] * 4, view["byteOffset"])
    return values.reshape(-1, 4) / 65535


@pytest.mark.parametrize(("write", "suffix"), [(write_glb, "glb"), (write_ply, "ply")])
def test_geometry_survives_with_its_orientation(nosed, tmp_path, write, suffix):
    path = tmp_path / f"mesh.{suffix}"
    write(nosed, path)
    back = trimesh.load_mesh(path)
    np.testing.assert_allclose(back.bounds, nosed.bounds, atol=1e-7)
    assert len(back.faces) == len(nosed.faces)
    assert back.is_watertight
    assert back.volume == pytest.approx(nosed.volume, rel=1e-5)
    top, front = back.vertices[:, 1].argmax(), back.vertices[:, 2].argmax()
    np.testing.assert_allclose(back.vertices[top], [0, 0.09, 0], atol=8e-3)
    np.testing.assert_allclose(back.vertices[front], [0, 0, 0.08], atol=8e-3)


def test_glb_has_no_transform_that_turns_the_head(nosed, tmp_path):
    write_glb(nosed, tmp_path / "mesh.glb")
    (placed,) = trimesh.load_scene(tmp_path / "mesh.glb").dump()
    np.testing.assert_allclose(placed.bounds, nosed.bounds, atol=1e-7)


def test_glb_colors_are_linear_light(nosed, tmp_path):
    write_glb(nosed, tmp_path / "mesh.glb")
    linear = gltf_colors(tmp_path / "mesh.glb")[:, :3]
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(srgb * 255, mesh_colors(nosed)[:, :3], atol=0.1)


def test_glb_is_matt_and_has_unit_normals(nosed, tmp_path):
    write_glb(nosed, tmp_path / "mesh.glb")
    tree, binary = gltf_parts(tmp_path / "mesh.glb")
    (primitive,) = tree["meshes"][0]["primitives"]
    assert tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0
    accessor = tree["accessors"][primitive["attributes"]["NORMAL"]]
    start = tree["bufferViews"][accessor["bufferView"]]["byteOffset"]
    normals = np.frombuffer(binary, "<f4", accessor["count"] * 3, start).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_mesh_without_colors_is_written_too(box, ball, tmp_path):
    mesh = extract_surface(ball(0.08), bounds=box, resolution=12, level=0.5)
    write_glb(mesh, tmp_path / "plain.glb")
    tree, _ = gltf_parts(tmp_path / "plain.glb")
    assert "COLOR_0" not in tree["meshes"][0]["primitives"][0]["attributes"]
    assert trimesh.load_mesh(tmp_path / "plain.glb").is_watertight


def test_ply_keeps_the_bytes_of_the_colors(nosed, tmp_path):
    write_ply(nosed, tmp_path / "mesh.ply")
    back = trimesh.load_mesh(tmp_path / "mesh.ply", process=False)
    np.testing.assert_allclose(back.vertices, nosed.vertices, atol=1e-7)
    assert np.array_equal(mesh_colors(back), mesh_colors(nosed))


def test_writing_leaves_nothing_but_the_file(nosed, tmp_path):
    for _ in range(2):  # the second time over an existing file
        write_glb(nosed, tmp_path / "new" / "mesh.glb")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mesh.glb"]


def test_failed_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "turn.gif"
    path.write_bytes(b"old")

    def fail(_self, partial, **_kwargs):
        partial.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_gif(np.zeros((2, 4, 4, 3), np.uint8), path)
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["turn.gif"]


def test_gif_has_the_frames_in_order_and_repeats(tmp_path):
    frames = np.zeros((5, 8, 6, 3), np.uint8)
    frames[:, :, :, 1] = (np.arange(5) * 50)[:, None, None]
    write_gif(frames, tmp_path / "turn.gif", fps=12.5)
    with Image.open(tmp_path / "turn.gif") as gif:
        assert isinstance(gif, GifImageFile)
        assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (5, (6, 8), 80, 0)
        for index, frame in enumerate(frames):
            gif.seek(index)
            assert np.array_equal(np.asarray(gif.convert("RGB")), frame)


@pytest.mark.parametrize("fps", [0, -1, 51, float("nan")])
def test_gif_refuses_rates_that_viewers_do_not_show(tmp_path, fps):
    with pytest.raises(ValueError, match="at most 50"):
        write_gif(np.zeros((1, 4, 4, 3), np.uint8), tmp_path / "turn.gif", fps=fps)


def test_gif_needs_frames(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        write_gif(np.zeros((0, 4, 4, 3), np.uint8), tmp_path / "turn.gif")
