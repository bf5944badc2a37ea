"""What lies in models/ is small, documented, and does for a newcomer what its README.md promises."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gram.model.folder import load_discriminator, load_model, load_settings
from gram.model.generator import to_pixels
from pipeline.cli.command import main
from pipeline.config.loader import load
from pipeline.config.yaml_reading import PROJECT
from pipeline.display.images import GAP, SWEEP_VIEWS
from pipeline.evaluate.samples import GRID, SHOWN_PSI
from pipeline.export import stage as export

MODELS = sorted((PROJECT / "models").iterdir())
MOST_BYTES = 8e6
each = pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)


def test_there_is_one() -> None:
    assert MODELS


@each
def test_it_is_small_and_its_readme_tells_all_that_was_measured(folder: Path) -> None:
    assert sum(file.stat().st_size for file in folder.iterdir()) <= MOST_BYTES
    text = (folder / "README.md").read_text()
    for picture in re.findall(r"!\[[^]]*\]\(([^)]*)\)", text):
        assert (folder / picture).is_file()
    measured = json.loads((folder / "metrics.json").read_text())["trained"]
    assert measured["protocol"]["data_hash"] == load_settings(folder)["made_from"]["data_hash"]
    for name, value in measured["values"].items():
        assert f"`{name}`" in text
        assert f"{value:.4g}" in text
    assert load([], params=folder / "params.yaml").data.size == load_discriminator(folder).size


@each
def test_it_draws_the_heads_of_its_picture(folder: Path) -> None:
    generator, size = load_model(folder), load([], params=folder / "params.yaml").data.size
    z = torch.randn(GRID, generator.z_dim, generator=torch.Generator().manual_seed(0))[:1]
    frontal = torch.full((1, 2), torch.pi / 2)
    drawn = to_pixels(generator.render(z, frontal, size=size, psi=SHOWN_PSI).image)[0]
    left = GAP + SWEEP_VIEWS // 2 * (size + GAP)
    with Image.open(folder / "sweep.png") as sweep:
        shown = np.asarray(sweep)[GAP : GAP + size, left : left + size]
    assert np.abs(drawn.astype(int) - shown).max() <= 2


@each
def test_it_becomes_closed_meshes_close_to_its_own_depth(folder: Path, tmp_path: Path) -> None:
    given = [f"model='{folder}'", "tracking=none", f"paths.export='{tmp_path}'", "export.seeds=[1]"]
    small = ["export.resolution=48", "export.frames=4", "export.size=32", "export.between=0"]
    assert main(export.STAGE, export.run, [*given, *small, "export.layers=0"]) == 0
    (facts,) = json.loads((tmp_path / "meshes.json").read_text()).values()
    assert facts["watertight"]
    assert facts["depth_error"] < 0.03
    assert (tmp_path / "viewer.html").is_file()
