"""What an export writes, for seeds and for files of latents, and that bad input costs nothing."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from gltf import GltfProblems
from PIL import Image, ImageSequence
from small_model import small_settings
from trimesh.visual import TextureVisuals

from gram.meshing import turntable_poses
from gram.model.folder import build_discriminator, build_generator, load_model, save_model
from gram.model.generator import to_pixels
from gram.model.latents import interpolate_latents, write_latents
from pipeline.cli.command import main
from pipeline.export import stage as export
from pipeline.runtime.recognition import MARKER

SETTINGS = small_settings(sampler={"delta": 0.2}, made_from={"run": None})
PSI = 0.7


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained: whatever it draws has a surface."""
    folder: Path = tmp_path_factory.mktemp("model") / "model"
    torch.manual_seed(0)
    save_model(folder, build_generator(SETTINGS), build_discriminator(SETTINGS), SETTINGS)
    return folder


def run(model: Path, out: Path, *more: str) -> int:
    given = ["experiment=tiny", "tracking=none", f"model='{model}'", f"paths.export='{out}'", *more]
    return main(export.STAGE, export.run, given)


def facts(out: Path) -> dict[str, dict[str, Any]]:
    return json.loads((out / "meshes.json").read_text())


@pytest.fixture(scope="module")
def two(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds with everything that there is."""
    out: Path = tmp_path_factory.mktemp("two") / "export"
    assert run(model, out, "export.seeds=[0,7]", "export.between=3", f"export.psi={PSI}") == 0
    return out


def latent(seed: int) -> torch.Tensor:
    return torch.randn(1, 8, generator=torch.Generator().manual_seed(seed))


def gif_frames(path: Path) -> np.ndarray:
    with Image.open(path) as gif:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)])


def test_every_promised_file_is_there_and_meshes_json_names_them(two: Path) -> None:
    said = facts(two)
    assert set(said) == {"seed_0000", "seed_0007"}
    endings = {".glb", ".ply", ".obj", ".mtl", "_texture.png", ".png", "_layers.glb", ".gif", ".mp4"}
    for name, fact in said.items():
        assert set(fact["files"]) == {f"{name}{ending}" for ending in endings}
        assert all((two / file).stat().st_size == size > 0 for file, size in fact["files"].items())
    others = {"interpolation.gif", "interpolation.mp4", "meshes.json", "viewer.html", MARKER}
    written = {file for fact in said.values() for file in fact["files"]}
    assert {path.name for path in two.iterdir()} == written | others


def test_meshes_are_closed_within_their_budget_and_as_meshes_json_says(two: Path) -> None:
    for name, fact in facts(two).items():
        mesh = trimesh.load_mesh(two / f"{name}.ply")
        assert mesh.is_watertight
        assert fact["watertight"] is True
        assert fact["why_not_watertight"] is None
        assert fact["triangles"] == len(mesh.faces) <= 400
        assert fact["vertices"] == len(mesh.vertices)
        assert fact["texture"] == 32
        assert 0 < fact["level"] <= 0.5
        assert 0 < fact["depth_error"] < 0.24
        np.testing.assert_allclose(mesh.bounds, fact["bounds"], atol=1e-4)


def test_glb_is_valid_and_textured(two: Path, problems_of_glb: Callable[[Path], GltfProblems]) -> None:
    assert problems_of_glb(two / "seed_0000.glb") == ([], [])
    mesh = trimesh.load_mesh(two / "seed_0000.glb")
    assert isinstance(mesh.visual, TextureVisuals)


def test_turntables_show_what_the_model_draws(model: Path, two: Path) -> None:
    generator = load_model(model)
    poses = turntable_poses(3, swing=0.6)
    drawn = to_pixels(generator.render(latent(7).expand(3, -1), poses, size=16, psi=PSI).image)
    shown = gif_frames(two / "seed_0007.gif")
    assert shown.shape == drawn.shape
    assert np.abs(shown.astype(int) - drawn).mean() < 4  # of 256 colours


def test_interpolation_passes_every_latent_and_comes_back(model: Path, two: Path) -> None:
    generator = load_model(model)
    z = interpolate_latents(torch.cat([latent(0), latent(7)]), 3)
    poses = torch.full((len(z), 2), math.pi / 2)
    drawn = to_pixels(generator.render(z, poses, size=16, psi=PSI).image)
    shown = gif_frames(two / "interpolation.gif")
    assert shown.shape == drawn.shape == (8, 16, 16, 3)
    assert np.abs(shown.astype(int) - drawn).mean() < 4


def test_latents_of_a_file_are_exported_as_seeds_are(model: Path, two: Path, tmp_path: Path) -> None:
    write_latents(tmp_path / "found.safetensors", torch.cat([latent(7), latent(0)]))
    given = (f"export.latents='{tmp_path}/found.safetensors'", f"export.psi={PSI}", "export.videos=[]")
    assert run(model, tmp_path / "out", *given) == 0
    said = facts(tmp_path / "out")
    assert set(said) == {"latent_000", "latent_001"}
    assert (tmp_path / "out/latent_000.ply").read_bytes() == (two / "seed_0007.ply").read_bytes()
    assert not list((tmp_path / "out").glob("*.gif")) + list((tmp_path / "out").glob("*.mp4"))


def test_only_the_formats_asked_for_are_written_and_vertices_are_colored_without_texture(
    model: Path, tmp_path: Path
) -> None:
    given = ["export.formats=[glb]", "export.texture=0", "export.faces=0", "export.videos=[gif]"]
    assert run(model, tmp_path, *given, "export.layers=0") == 0
    assert {path.name for path in tmp_path.iterdir()} - {"viewer.html"} == {
        "seed_0000.glb",
        "seed_0000.png",
        "seed_0000.gif",
        "meshes.json",
        MARKER,
    }
    mesh = trimesh.load_mesh(tmp_path / "seed_0000.glb")
    content = (tmp_path / "seed_0000.glb").read_bytes()
    assert b'"COLOR_0"' in content and b'"images"' not in content
    assert len(mesh.faces) == facts(tmp_path)["seed_0000"]["triangles"] > 400


@pytest.mark.parametrize(
    ("argument", "code", "message"),
    [
        ("export.latents='{folder}/absent.npy'", 1, "absent.npy does not exist"),
        ("export.latents='{folder}/other.safetensors'", 1, "shape (2, 5), but this model takes (count, 8)"),
        ("export.level=0.999999", 1, "seed_0000: The level 0.999999 is outside the field's range"),
        (
            "export.formats=[glb,stl]",
            2,
            "export.formats = ['glb', 'stl']: there is no stl, but glb, ply, obj",
        ),
        ("export.seeds=[0,x]", 2, "export.seeds = [0, 'x'], but it takes a list of whole numbers"),
    ],
)
def test_bad_input_is_refused_and_costs_nothing(
    model: Path,
    two: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    argument: str,
    code: int,
    message: str,
) -> None:
    write_latents(tmp_path / "other.safetensors", torch.randn(2, 5))
    before = {path.name: path.read_bytes() for path in two.iterdir()}
    assert run(model, two, argument.format(folder=tmp_path)) == code
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in two.iterdir()} == before
