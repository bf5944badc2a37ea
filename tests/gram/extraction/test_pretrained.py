"""Models by name: images, turntables and meshes of seeds, in degrees from the front."""

import json
import math
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import trimesh
from PIL import Image, ImageChops

import gram
from gram.extraction.pretrained import Mesh, Pretrained, load_model
from gram.geometry.poses import GaussianPoses, SphericalPoses
from gram.model import folder
from gram.model.generator import quantised
from gram.model.latents import seed_latents

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def model() -> Pretrained:
    return load_model("heads64")


def copy_with(tmp_path: Path, **entries: object) -> Path:
    """A copy of the shipped model whose model.json has other entries; None removes one."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "models" / "heads64", copy)
    settings = json.loads((copy / folder.SETTINGS).read_text()) | entries
    kept = {name: value for name, value in settings.items() if value is not None}
    (copy / folder.SETTINGS).write_text(json.dumps(kept))
    return copy


def test_a_sample_is_what_the_generator_renders_at_that_pose(model: Pretrained) -> None:
    sampled = model.sample(seeds=[3, 5], yaw=20, pitch=-5, psi=0.5, size=16)
    poses = torch.tensor([[math.radians(85), math.radians(110)]]).expand(2, -1)
    rendered = model.generator.render(seed_latents([3, 5], 128), poses, size=16, psi=0.5)
    for image, expected in zip(sampled.images, quantised(rendered.image), strict=True):
        assert image.mode == "RGB"
        assert torch.equal(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(16, 16, 3),
                           expected.permute(1, 2, 0))  # fmt: skip
    torch.testing.assert_close(sampled.depth, rendered.median_depth, rtol=0, atol=0)


def test_the_size_is_that_of_training_and_the_front_is_the_default(model: Pretrained) -> None:
    (front,), (again,) = model.sample(psi=0.7).images, model.sample([0], yaw=0, pitch=0).images
    assert front.size == (64, 64)
    assert ImageChops.difference(front, again).getbbox() is None


def test_mirrored_yaws_show_the_mean_head_from_its_two_sides(model: Pretrained) -> None:
    left, right = (model.sample(yaw=yaw, psi=0.0).images[0].convert("L") for yaw in (-25, 25))
    flipped = right.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def difference(a: Image.Image, b: Image.Image) -> float:
        pixels = ImageChops.difference(a, b).tobytes()
        return sum(pixels) / len(pixels)

    assert difference(left, flipped) < 0.5 * difference(left, right)


def test_a_turntable_turns_and_is_saved_as_a_looping_file(model: Pretrained, tmp_path: Path) -> None:
    turned = model.turntable(0, frames=4, size=16)
    assert len({image.tobytes() for image in turned.images}) >= 3
    assert turned._repr_html_().startswith('<img src="data:image/gif;base64,')
    turned.save(tmp_path / "turn.gif")
    with Image.open(tmp_path / "turn.gif") as file:
        assert file.n_frames == len(turned.images)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"turn\.avi: the name must end in \.gif or \.mp4"):
        turned.save(tmp_path / "turn.avi")


def test_a_mesh_is_closed_and_coloured_and_written_by_its_suffix(model: Pretrained, tmp_path: Path) -> None:
    mesh = model.mesh(0, resolution=24)
    assert isinstance(mesh, Mesh)
    assert mesh.mesh.is_watertight
    for name in ("head.glb", "head.PLY", "head.obj"):
        mesh.export(tmp_path / name)
        loaded = trimesh.load(tmp_path / name, file_type=name[-3:].lower(), force="mesh")
        assert isinstance(loaded, trimesh.Trimesh)
        assert len(loaded.faces) == len(mesh.mesh.faces)
    with pytest.raises(ValueError, match=r"head\.stl: the name must end in \.glb or \.obj or \.ply"):
        mesh.export(tmp_path / "head.stl")


@pytest.mark.parametrize(
    ("yaw", "pitch", "axis"), [(90, 0, "yaw 90"), (-90, 0, "yaw -90"), (0, 89, "pitch 89")]
)
def test_poses_far_outside_of_the_prior_warn(model: Pretrained, yaw: float, pitch: float, axis: str) -> None:
    with pytest.warns(UserWarning, match=rf"{axis} degrees from the front is outside of"):
        model.sample(yaw=yaw, pitch=pitch, size=8)


def test_poses_of_zeros_warn_when_rendered_and_those_of_the_prior_do_not(model: Pretrained) -> None:
    z = model.latents([0])
    with pytest.warns(UserWarning) as told:
        model.generator.render(z, torch.zeros(1, 2), size=8)
    assert [str(warning.message).partition(" from")[0] for warning in told] == [
        "pitch -90 degrees",
        "yaw -90 degrees",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sample(yaw=30, pitch=10, size=8)


def test_an_unknown_name_lists_the_models_that_there_are(tmp_path: Path) -> None:
    for name in ("heads65", str(tmp_path)):
        with pytest.raises(gram.ModelError, match=r"there is no model .*shipped models \(heads64\)"):
            load_model(name)


def test_a_folder_is_a_model_by_its_path_and_an_older_one_has_a_usual_prior(tmp_path: Path) -> None:
    assert load_model(copy_with(tmp_path, poses=None)).prior == GaussianPoses()


@pytest.mark.parametrize(
    ("entry", "prior"),
    [
        ({"kind": "gaussian", "yaw_std": 0.5, "pitch_mean": 1.5}, GaussianPoses(yaw_std=0.5, pitch_mean=1.5)),
        ({"kind": "spherical", "v_mean": 0.7}, SphericalPoses(v_mean=0.7)),
    ],
)
def test_model_json_tells_the_prior(tmp_path: Path, entry: dict[str, object], prior: object) -> None:
    assert load_model(copy_with(tmp_path, poses=entry)).prior == prior


@pytest.mark.parametrize("entry", [{"kind": "uniform"}, {"kind": "gaussian", "yaw_std": "wide"}, []])
def test_a_prior_that_is_none_is_refused(tmp_path: Path, entry: object) -> None:
    with pytest.raises(gram.ModelError, match=r"model\.json: poses"):
        load_model(copy_with(tmp_path, poses=entry))


@pytest.mark.parametrize("poses", ["(1.5, 1.5)", "torch.zeros(2)", "torch.zeros(2, 2)", "None"])
def test_poses_of_another_kind_get_a_sentence(poses: str) -> None:
    """In a process without the checks of shapes that tests have."""
    program = (
        "import torch, gram\n"
        "model = gram.load_model('heads64', device='cpu')\n"
        f"model.generator.render(model.latents([0]), {poses}, size=8)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert "ValueError: poses is a " in done.stderr
    assert "not a tensor (1, 2) of (pitch, yaw) in radians" in done.stderr


def test_the_package_tells_its_version_and_its_types() -> None:
    assert gram.__version__[0].isdigit()
    assert (Path(gram.__file__).parent / "py.typed").is_file()


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = (ROOT / "README.md").read_text().partition("From Python:\n\n")[2].partition("\n\n")[0]
    assert len(block.splitlines()) == 5
    monkeypatch.chdir(tmp_path)
    exec("\n".join(line.removeprefix("    ") for line in block.splitlines()), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.gif", "head.glb"]
