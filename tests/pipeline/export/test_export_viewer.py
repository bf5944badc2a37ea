"""The viewer of an export shows what the export has, in the same colours."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from test_export_layers import VOLUME, exported, generator_of, settings_of

from gram.meshing import color_vertices, write_glb, write_ply
from pipeline.export.page import export_viewer
from pipeline.export.part import ExportedLatent, exported_latents
from pipeline.export.surface import colors_of
from pipeline.export.viewer import packing

WRITERS = {"glb": write_glb, "ply": write_ply}


def content(path: Path) -> dict[str, Any]:
    """What the page shows."""
    found = re.search(r'<script type="application/json">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def colored(subject: ExportedLatent) -> trimesh.Trimesh:
    """A ball in the colours of a latent."""
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.06)
    ball.vertices = ball.vertices.astype(np.float32)  # as files have them
    return color_vertices(ball, colors_of(subject))


def with_meshes(chosen: list[ExportedLatent], kind: str) -> list[ExportedLatent]:
    for subject in chosen:
        WRITERS[kind](colored(subject), subject.file(f".{kind}"))
    return chosen


def test_it_has_every_latent_and_those_between(tmp_path: Path) -> None:
    (path,) = export_viewer(exported(tmp_path, "export.formats=[]", "export.between=2"))
    shown = content(path)
    assert shown["labels"] == ["seed 0000", "seed 0001"]
    assert [len(shown["atlases"]), shown["stride"], shown["meshes"]] == [4, 3, []]
    assert len(set(shown["atlases"])) == 4


@pytest.mark.parametrize("kind", ["ply", "glb"])
def test_meshes_have_the_colours_that_they_were_given(tmp_path: Path, kind: str) -> None:
    chosen = exported(tmp_path, f"export.formats=[{kind}]", "export.texture=0", "export.layers=0")
    (path,) = export_viewer(with_meshes(chosen, kind))
    shown = content(path)["meshes"]
    expected = [packing.surface(colored(subject)) for subject in chosen]
    assert [mesh["colors"] for mesh in shown] == [mesh["colors"] for mesh in expected]
    assert shown[0]["colors"] != shown[1]["colors"]
    assert shown[0]["positions"] == shown[1]["positions"] == expected[0]["positions"]


def test_seams_of_a_texture_do_not_show_in_the_normals() -> None:
    whole = trimesh.creation.icosphere(subdivisions=2, radius=0.06)
    corners = whole.triangles.reshape(-1, 3)
    torn = trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3), process=False)
    packed = packing.surface(color_vertices(torn, lambda points, _: points.abs()))["normals"]
    normals = np.frombuffer(base64.b64decode(packed["bytes"]), np.int8).reshape(-1, 3) / 127.0
    assert np.abs(normals - torn.vertices / 0.06).max() < 0.02


def test_a_volume_has_meshes_alone(tmp_path: Path) -> None:
    settings = settings_of("export.formats=[ply]", "export.seeds=[0,1]")
    chosen = exported_latents(generator_of(**VOLUME), settings, tmp_path)
    (path,) = export_viewer(with_meshes(chosen, "ply"))
    shown = content(path)
    assert [shown["layers"], shown["atlases"], len(shown["meshes"])] == [None, [], 2]


def test_without_layers_and_meshes_there_is_no_viewer(tmp_path: Path) -> None:
    assert export_viewer(exported(tmp_path, "export.layers=0", "export.formats=[obj]")) == []
