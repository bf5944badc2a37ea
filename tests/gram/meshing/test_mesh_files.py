"""Files keep geometry, orientation and colours, and are whole or absent."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from trimesh.visual import ColorVisuals, TextureVisuals

from gram.meshing import (
    bake_texture,
    color_vertices,
    extract_surface,
    write_gif,
    write_glb,
    write_obj,
    write_ply,
)
from gram.meshing.files import base_color


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

    write = Path.write_bytes

    def fail(partial, content):
        write(partial, content[: len(content) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        write_gif(np.zeros((2, 4, 4, 3), np.uint8), path)
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["turn.gif"]


@pytest.fixture(scope="module")
def textured(nosed):
    return bake_texture(nosed, lambda points, _: points / 0.24 + 0.5, size=64)


def picture_colors(mesh, image):
    """Colours at the vertices, looked up in the nearest texel."""
    height, width = image.shape[:2]
    columns = (mesh.visual.uv[:, 0] * width).astype(int).clip(0, width - 1)
    rows = ((1 - mesh.visual.uv[:, 1]) * height).astype(int).clip(0, height - 1)
    return image[rows, columns, :3] / 255


@pytest.mark.parametrize("visual", ["plain", "colors", "texture"])
def test_glb_is_valid_gltf(nosed, textured, tmp_path, problems_of_glb, visual):
    plain = trimesh.Trimesh(nosed.vertices, nosed.faces, process=False)
    write_glb({"plain": plain, "colors": nosed, "texture": textured}[visual], tmp_path / "mesh.glb")
    assert problems_of_glb(tmp_path / "mesh.glb") == ([], [])


def test_validator_finds_what_is_wrong(nosed, tmp_path, problems_of_glb):
    write_glb(nosed, tmp_path / "mesh.glb")
    content = (tmp_path / "mesh.glb").read_bytes()
    (tmp_path / "broken.glb").write_bytes(content.replace(b'"SCALAR"', b'"VEC999"'))
    assert problems_of_glb(tmp_path / "broken.glb").errors


def test_textured_glb_is_matt_one_sided_and_shows_the_colors_of_the_field(textured, tmp_path):
    write_glb(textured, tmp_path / "mesh.glb")
    tree, _ = gltf_parts(tmp_path / "mesh.glb")
    (primitive,) = tree["meshes"][0]["primitives"]
    material = tree["materials"][primitive["material"]]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert material["pbrMetallicRoughness"]["roughnessFactor"] == 1
    assert not material.get("doubleSided", False)
    assert "COLOR_0" not in primitive["attributes"]
    back = trimesh.load_mesh(tmp_path / "mesh.glb", process=False)
    shown = picture_colors(back, np.asarray(base_color(back)))
    np.testing.assert_allclose(shown, back.vertices / 0.24 + 0.5, atol=0.03)


def test_seams_do_not_show_in_the_normals_of_a_glb(nosed, textured, tmp_path):
    write_glb(textured, tmp_path / "mesh.glb")
    tree, binary = gltf_parts(tmp_path / "mesh.glb")
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    normals, places = (
        np.frombuffer(binary, "<f4", accessor["count"] * 3, view["byteOffset"]).reshape(-1, 3)
        for accessor in (tree["accessors"][attributes[name]] for name in ("NORMAL", "POSITION"))
        for view in [tree["bufferViews"][accessor["bufferView"]]]
    )
    assert len(places) > len(nosed.vertices)
    nearest = np.linalg.norm(places[:, None] - nosed.vertices[None], axis=-1).argmin(1)
    np.testing.assert_allclose(normals, nosed.vertex_normals[nearest], atol=1e-5)


def test_obj_loads_with_its_texture(textured, tmp_path):
    files = write_obj(textured, tmp_path / "head.obj")
    assert {file.name for file in files} == {path.name for path in tmp_path.iterdir()}
    assert {file.name for file in files} == {"head.obj", "head.mtl", "head_texture.png"}
    assert files[-1].name == "head.obj"
    back = trimesh.load_mesh(tmp_path / "head.obj", process=False)
    assert isinstance(back.visual, TextureVisuals)
    assert len(back.faces) == len(textured.faces)
    np.testing.assert_allclose(back.bounds, textured.bounds, atol=1e-7)
    shown = picture_colors(back, np.asarray(back.visual.material.image))
    np.testing.assert_allclose(shown, back.vertices / 0.24 + 0.5, atol=0.03)


def test_obj_without_texture_has_vertex_colors(nosed, tmp_path):
    assert write_obj(nosed, tmp_path / "head.obj") == [tmp_path / "head.obj"]
    back = trimesh.load_mesh(tmp_path / "head.obj", process=False)
    np.testing.assert_allclose(mesh_colors(back).astype(int), mesh_colors(nosed), atol=1)
    assert back.is_watertight
