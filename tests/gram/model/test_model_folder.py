"""Model folders come back to the bit, or say what is wrong with them."""

import json
import math
import pickle  # noqa: TID251 - to show that it is never read
import re
import resource
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

import gram
from gram.extraction import pretrained
from gram.model.folder import ModelError, load_discriminator, load_model, load_settings, save_model
from gram.model.generator import Generator
from gram.networks.discriminator import Discriminator

POSES = torch.tensor([[1.5, 1.4], [1.7, 1.9]])


@pytest.fixture
def folder(
    tmp_path: Path, generator: Generator, discriminator: Discriminator, settings: dict[str, Any]
) -> Path:
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    save_model(tmp_path / "model", generator, discriminator, {**settings, "made_from": {"commit": "abc"}})
    return tmp_path / "model"


def change_tensors(file: Path, change) -> None:
    tensors = safetensors.torch.load_file(file)
    change(tensors)
    safetensors.torch.save_file(tensors, file)


@pytest.mark.parametrize("psi", [1.0, 0.7])
def test_a_model_renders_the_same_bits_after_the_way_to_disk(
    folder: Path, generator: Generator, psi: float
) -> None:
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    loaded = load_model(folder)
    for ours, theirs in zip(loaded.render(z, POSES, size=8, psi=psi),
                            generator.render(z, POSES, size=8, psi=psi), strict=True):  # fmt: skip
        assert torch.equal(ours, theirs)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_discriminator_judges_the_same_after_the_way_to_disk(
    folder: Path, discriminator: Discriminator
) -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    loaded = load_discriminator(folder)
    for ours, theirs in zip(loaded(images), discriminator(images), strict=True):
        assert torch.equal(ours, theirs)
    assert not loaded.training


def test_settings_keep_further_entries(folder: Path, settings: dict[str, Any]) -> None:
    assert load_settings(folder) == {**settings, "made_from": {"commit": "abc"}}


def test_a_folder_holds_tensors_and_json_only(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["discriminator.safetensors", "generator.safetensors", "model.json"]


def test_saving_again_replaces_the_model(
    folder: Path, generator: Generator, discriminator: Discriminator, settings: dict[str, Any]
) -> None:
    with torch.no_grad():
        generator.mapping.output.bias.add_(1.0)
    save_model(str(folder), generator, discriminator, settings)
    assert torch.equal(load_model(str(folder)).mapping.output.bias, generator.mapping.output.bias)
    assert load_settings(folder) == settings
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_the_package_offers_it() -> None:
    assert gram.save_model is save_model
    assert gram.load_model is pretrained.load_model
    assert issubclass(gram.ModelError, ValueError)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_what_is_no_model_folder_is_said_to_be_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "nothing"
    if kind == "empty":
        path.mkdir()
    if kind == "file":
        path.write_text("x")
    with pytest.raises(ModelError, match=r"nothing is no model: it has no model\.json: name a folder that"):
        load_model(path)


@pytest.mark.parametrize("content", [b"{half", b"", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_damaged_description_is_named(folder: Path, content: bytes) -> None:
    (folder / "model.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.json cannot be read \(it is .*\): copy the model again"):
        load_model(folder)


@pytest.mark.parametrize(
    ("section", "changes", "problem"),
    [
        ("generator", None, "generator is null, not an object"),
        ("discriminator", ..., "discriminator is missing"),
        ("manifold", ..., "manifold is missing, which samplers of kind manifold need"),
        ("made_from", None, "made_from is null, not an object"),
        ("made_from", {"run": 3}, "made_from.run is 3, not a text"),
        ("made_from", {"seed": -1}, "made_from.seed is -1, less than 0"),
        ("made_from", {"measured": {}}, "made_from.measured.values is missing"),
        ("generator", {"z_dim": 10**9}, "generator.z_dim is 1000000000, more than 16384"),
        ("generator", {"fov": 4}, "generator.fov is 4, more than 3.14159"),
        ("radiance", {"width": 10**7}, "radiance.width is 10000000, more than 16384"),
        ("radiance", {"layers": 10**11}, "radiance.layers is 100000000000, more than 128"),
        ("radiance", {"box": math.inf}, "radiance.box is inf, not a finite number"),
        ("sampler", {"levels": 10**9}, "sampler.levels is 1000000000, more than 1024"),
        ("sampler", {"num_samples": 10**8}, "sampler.num_samples is 100000000, more than 4096"),
        ("sampler", {"delta": "x"}, "sampler.delta is 'x', not a number"),
        ("sampler", {"near": 1.5}, "sampler.near is 1.5, not less than far = 1.12"),
        ("sampler", {"kind": "cubes"}, "sampler.kind is 'cubes', not one of 'manifold', 'spheres'"),
        ("sampler", {"kind": "planes"}, "sampler.points is missing, which samplers of kind planes need"),
        ("manifold", {"centre": [0.0, "x", 0.0]}, "manifold.centre[1] is 'x', not a number"),
        ("manifold", {"centre": [0.0]}, "manifold.centre is a list of 1 item, less than 3 items"),
    ],
)
def test_a_setting_of_the_wrong_type_or_size_is_named(
    folder: Path, section: str, changes: Any, problem: str
) -> None:
    settings = json.loads((folder / "model.json").read_text())
    settings[section] = {**settings[section], **changes} if isinstance(changes, dict) else changes
    if changes is ...:
        del settings[section]
    (folder / "model.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=rf"model\.json: {re.escape(problem)}.*: copy the model again, or"):
        load_settings(folder)


def test_nothing_is_built_that_the_weights_do_not_fit(folder: Path) -> None:
    """The largest model that settings allow takes 60 GB."""
    settings = json.loads((folder / "model.json").read_text())
    settings["radiance"] = {"width": 2**14, "layers": 64}
    (folder / "model.json").write_text(json.dumps(settings))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        ModelError, match=r"generator\.safetensors does not fit model\.json: .*; and \d+ more"
    ):
        load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            torch.zeros(128, dtype=torch.complex64),
            "holds numbers of kind C64, not one of F16, BF16, F32, F64",
        ),
        (torch.zeros(128, dtype=torch.int64), "holds numbers of kind I64, not one of F16"),
        (torch.full((128,), math.nan), "holds numbers that are not finite: copy or train it again"),
    ],
)
def test_weights_that_are_no_finite_numbers_are_refused(folder: Path, value: Tensor, problem: str) -> None:
    name = "mapping.output.bias"
    change_tensors(folder / "generator.safetensors", lambda tensors: tensors.update({name: value}))
    with pytest.raises(ModelError, match=rf"generator\.safetensors.* {name} {problem}"):
        load_model(folder)


def test_an_unknown_setting_is_named(folder: Path) -> None:
    settings = json.loads((folder / "model.json").read_text())
    settings["radiance"]["colour"] = 1
    (folder / "model.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"describes no model \(.*colour"):
        load_model(folder)


@pytest.mark.parametrize(("name", "load"), [("generator", load_model), ("discriminator", load_discriminator)])
def test_a_missing_or_damaged_file_is_named(folder: Path, name: str, load) -> None:
    file = folder / f"{name}.safetensors"
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"nonsense" * 10):
        file.write_bytes(content)
        with pytest.raises(
            ModelError, match=rf"{name}\.safetensors is damaged or no safetensors file \(.*\): copy"
        ):
            load(folder)
    file.unlink()
    with pytest.raises(ModelError, match=rf"{name}\.safetensors is missing: the model folder is incomplete"):
        load(folder)


def test_missing_unknown_and_misshapen_tensors_are_all_named(folder: Path) -> None:
    def change(tensors: dict[str, Tensor]) -> None:
        del tensors["radiance.view_layer.bias"]
        tensors["radiance.extra"] = torch.zeros(1)
        tensors["mapping.output.bias"] = torch.zeros(7)

    change_tensors(folder / "generator.safetensors", change)
    with pytest.raises(ModelError) as error:
        load_model(folder)
    assert str(error.value).endswith(
        "generator.safetensors does not fit model.json: radiance.view_layer.bias is missing; "
        "'radiance.extra' is unknown; mapping.output.bias has shape (7,), not (128,)"
    )


def test_many_problems_are_counted_rather_than_listed(folder: Path) -> None:
    change_tensors(folder / "discriminator.safetensors", lambda tensors: tensors.clear())
    with pytest.raises(ModelError) as error:
        load_discriminator(folder)
    count = len(load_discriminator_names())
    assert str(error.value).count(" is missing") == 5
    assert str(error.value).endswith(f"; and {count - 5} more")


def load_discriminator_names() -> list[str]:
    return list(Discriminator(size=8, width=0.02).state_dict())


class Bomb:
    """Unpickling it runs code."""

    def __reduce__(self):
        return (pytest.fail, ("a user's file was unpickled",))


@pytest.mark.parametrize("name", ["generator.safetensors", "model.json"])
def test_pickles_are_never_read(folder: Path, name: str) -> None:
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match=r"is damaged or no safetensors file|it is no JSON"):
        load_model(folder)
