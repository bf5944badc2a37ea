"""The manifolds of a model as files: like the model's own pictures, valid, and only where there are any."""

from pathlib import Path
from typing import Any

import pytest
import torch
from gltf import gltf_problems
from small_model import smooth_settings

from gram.meshing import read_layers
from gram.model.folder import build_generator
from gram.model.generator import Generator
from pipeline.config.loader import load
from pipeline.config.schema import ExportConfig
from pipeline.export.baker import LayerBaker, layer_baker
from pipeline.export.layers import export_layers
from pipeline.export.part import ExportedLatent, exported_latents

VOLUME = {"kind": "stratified", "points": 5, "near": 0.88, "far": 1.12}


def generator_of(**sampler: Any) -> Generator:
    settings = smooth_settings(levels=3)
    torch.manual_seed(0)
    return build_generator(settings | {"sampler": sampler or settings["sampler"]}).eval()


def settings_of(*options: str) -> ExportConfig:
    return load(["experiment=tiny", *options]).export


def exported(out: Path, *options: str) -> list[ExportedLatent]:
    generator, settings = generator_of(), settings_of("export.seeds=[0,1]", *options)
    return exported_latents(generator, settings, out, layer_baker(generator, settings))


def test_the_file_looks_like_the_model_and_its_facts_say_how_much(tmp_path: Path) -> None:
    subject, _ = exported(tmp_path, "export.layers=64")
    made = export_layers(subject)
    assert [path.name for path in made.files] == ["seed_0000_layers.glb"]
    assert [made.facts["layers"], made.facts["layers_texture"]] == [4, 64]
    assert made.facts["layers_psnr"] > 30.0
    assert "GaussianPoses(" in made.facts["layers_psnr_protocol"]
    assert len(read_layers(made.files[0])) == 4


def test_the_file_of_another_latent_is_less_like_it(tmp_path: Path) -> None:
    first, second = exported(tmp_path, "export.layers=64")
    assert isinstance(first.baker, LayerBaker)
    (path,) = export_layers(first).files
    own, others = (first.baker.psnr(path, subject.z) for subject in (first, second))
    assert own > others + 3.0


def test_files_of_layers_are_valid(tmp_path: Path) -> None:
    subject, _ = exported(tmp_path)
    (path,) = export_layers(subject).files
    assert gltf_problems(path) == ([], [])


@pytest.mark.parametrize(
    ("layers", "sampler", "resolution"),
    [("null", {}, 128), ("16", {}, 16), ("0", {}, None), ("null", VOLUME, None), ("0", VOLUME, None)],
)
def test_there_are_layers_where_there_are_surfaces_and_somebody_wants_them(
    layers: str, sampler: dict[str, Any], resolution: int | None
) -> None:
    found = layer_baker(generator_of(**sampler), settings_of(f"export.layers={layers}"))
    assert (found and found.resolution) == resolution


def test_the_surfaces_of_a_volume_are_refused() -> None:
    with pytest.raises(ValueError, match=r"export.layers = 16, but a StratifiedSampler has no isosurfaces"):
        layer_baker(generator_of(**VOLUME), settings_of("export.layers=16"))
