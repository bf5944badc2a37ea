"""A packed model is small, says what it is, draws what it says it draws, and nothing is lost for it."""

import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from gram.metrics.similarity import psnr
from gram.model.folder import GENERATOR, load_discriminator, load_model, load_settings
from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.config.loader import load
from pipeline.pack import stage as pack
from pipeline.train import stage as train

OPTIONS = ("experiment=tiny", "tracking=none", "evaluate.images=16")
FILES = {
    "generator.safetensors", "discriminator.safetensors", "model.json", "metrics.json",
    "README.md", "params.yaml", "samples.png", "sweep.png",
}  # fmt: skip
Packed = tuple[Path, Path]


def arguments(data: list[str], folder: Path) -> list[str]:
    paths = [f"paths.checkpoints='{folder}/checkpoints'", f"paths.train='{folder}/train'"]
    return [*OPTIONS, *data, *paths]


def run(data: list[str], folder: Path, *more: str) -> int:
    given = [*arguments(data, folder), f"model='{folder}/train/model'", *more]
    return main(pack.STAGE, pack.run, given)


@pytest.fixture(scope="module")
def packed(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """A trained model, and its pack."""
    folder: Path = tmp_path_factory.mktemp("pack")
    assert main(train.STAGE, train.run, [*arguments(data, folder), "train.steps=2"]) == 0
    to = folder / "models" / "mine"
    assert run(data, folder, "--to", str(to), "--note", "two cores, three seconds") == 0
    return folder / "train" / "model", to


def test_it_holds_what_it_says_in_half_the_room(packed: Packed) -> None:
    trained, mine = packed
    assert {path.name for path in mine.iterdir()} == FILES
    weights = safetensors.torch.load_file(mine / GENERATOR)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert (mine / GENERATOR).stat().st_size < 0.7 * (trained / GENERATOR).stat().st_size
    assert load_settings(mine)["made_from"] == {**load_settings(trained)["made_from"], "run": None}


def test_it_draws_what_the_trained_model_draws(packed: Packed) -> None:
    before, after = (load_model(folder) for folder in packed)
    assert {p.dtype for p in after.state_dict().values()} == {torch.float32}
    z = torch.randn(4, before.z_dim, generator=torch.Generator().manual_seed(3))
    poses = torch.tensor([[1.5, 1.3]]).expand(4, 2)
    images = [generator.render(z, poses, size=16).image for generator in (before, after)]
    assert not torch.equal(*images)
    assert psnr(*images).amin() > 45.0
    load_discriminator(packed[1])


def test_its_readme_has_pictures_numbers_and_commands_that_exist(packed: Packed) -> None:
    _, mine = packed
    text = (mine / "README.md").read_text()
    for picture in re.findall(r"!\[[^]]*\]\(([^)]*)\)", text):
        with Image.open(mine / picture) as opened:
            assert opened.width > 100
    metrics = json.loads((mine / "metrics.json").read_text())
    for name, value in metrics["trained"]["values"].items():
        assert f"`{name}`" in text
        assert f"{value:.4g}" in text
    assert metrics["trained"]["protocol"]["num_fakes"] == 16
    assert "two cores, three seconds" in text
    assert "model=mine" in text
    assert str(mine) not in text
    pinned = load([], params=mine / "params.yaml")
    assert (pinned.train.batch_size, pinned.data.size) == (4, 16)


def test_a_model_that_is_there_is_replaced_and_anything_else_refused(
    data: list[str], packed: Packed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, mine = packed
    folder = trained.parents[1]
    before = (mine / GENERATOR).read_bytes()
    assert run(data, folder, "--to", str(mine)) == 0
    assert (mine / GENERATOR).read_bytes() == before
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("dear")
    assert run(data, folder, "--to", str(tmp_path / "letters")) == EXIT_ERROR
    assert (tmp_path / "letters" / "mine.txt").read_text() == "dear"
    assert "would be lost: name another" in capsys.readouterr().err
    assert run(data, folder) == EXIT_ERROR
    assert "--to models/mine" in capsys.readouterr().err


def test_another_configuration_and_the_model_s_own_folder_are_refused(
    data: list[str], packed: Packed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained, _ = packed
    assert (
        run(data, trained.parents[1], "--to", str(tmp_path / "new"), "train.lr_generator=0.5") == EXIT_ERROR
    )
    assert "give the experiment and options of its training" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    before = (trained / GENERATOR).read_bytes()
    assert run(data, trained.parents[1], "--to", str(trained)) == EXIT_ERROR
    assert "name another" in capsys.readouterr().err
    assert (trained / GENERATOR).read_bytes() == before
    assert run(data, trained.parents[1], "--to", str(tmp_path / "new"), "train.steps=7") == 0


def test_weights_that_half_precision_cannot_hold_are_refused() -> None:
    network = torch.nn.Linear(2, 2)
    with torch.no_grad():
        network.weight[0, 0] = 1e5
    with pytest.raises(ValueError, match="weight has weights beyond half precision"):
        pack.rounded(network)


def test_rounding_that_shows_is_refused(
    data: list[str], packed: Packed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pack, "LIKENESS", 200.0)
    trained, mine = packed
    before = (mine / "README.md").read_bytes()
    assert run(data, trained.parents[1], "--to", str(mine)) == EXIT_ERROR
    assert "publish" in capsys.readouterr().err
    assert (mine / "README.md").read_bytes() == before
