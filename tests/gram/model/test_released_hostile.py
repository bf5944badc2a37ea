"""Released weights and settings that are damaged, foreign or hostile are named in one line."""

import json
import math
import pickle  # noqa: TID251 - to show that it is never read
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from gram.model.released import ReleasedError, load_released, load_released_discriminator, read_released

GOLDEN = Path(__file__).parents[2] / "goldens/faces-small.safetensors"
BIAS = "generator.representation.rf_network.network.3.layer.bias"
NESTED = "[" * 100_000


class Bomb:
    """Whoever unpickles it is told."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path("unpickled"),)  # type: ignore[return-value]


@pytest.fixture
def released() -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(GOLDEN, "pt") as file:
        names = [name for name in file.keys() if name.startswith("generator.")]
        return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["meta"])


@pytest.fixture
def bounded() -> Iterator[None]:
    """At most 2 GB of memory beyond what is taken."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


SETTINGS: dict[str, list[Any]] = {
    "base": [..., 3, "x" * 10**6],
    "camera": [..., [], None],
    "camera.fov": [0, 181, "12", math.nan, True],
    "camera.ray_start": [-1, 2.0, math.inf],
    "renderer.num_manifolds": [..., 1, 10**9, 8.5, "8"],
    "renderer.num_samples": [1, 10**12],
    "renderer.background": [..., 1, "yes"],
    "renderer.levels_start": [math.nan, 10**400],
    "representation.hidden_dim": [0, -1, 10**9, None],
    "representation.hidden_dim_sample": [10**9, 2.5],
    "representation.layer_num_sample": [0, 10**9],
    "representation.center": [[0], ["x", 0, 0], 3, [math.inf, 0, 0]],
    "generator.z_dim": [..., 0, 10**11],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in SETTINGS.items() for v in values])
def test_a_setting_that_can_be_none_is_named(
    field: str, value: Any, released: tuple[dict[str, Tensor], dict[str, Any]], bounded: None
) -> None:
    weights, settings = released
    section, _, name = field.rpartition(".")
    inside = settings[section] if section else settings
    inside.pop(name) if value is ... else inside.__setitem__(name, value)
    one_line(field, lambda: load_released(weights, settings))


PLACE = "generator.representation."
PARAMETERS: list[tuple[Any, Any, str]] = [
    (BIAS, None, "radiance.layers.3.bias is missing"),
    (BIAS, torch.zeros(31), "radiance.layers.3.bias has shape (31,)"),
    (BIAS, torch.zeros(0), "radiance.layers.3.bias has shape (0,)"),
    (BIAS, torch.zeros(1).expand(10**12), "radiance.layers.3.bias has shape"),
    (BIAS, torch.full((32,), math.nan), "radiance.layers.3.bias is not finite"),
    (BIAS, torch.zeros(32, dtype=torch.complex64), "radiance.layers.3.bias holds numbers of kind complex64"),
    (BIAS, torch.zeros(32, dtype=torch.int64), "radiance.layers.3.bias holds numbers of kind int64"),
    (BIAS, [0.0] * 32, "is list, not a tensor"),
    (BIAS, 3, "is int, not a tensor"),
    (3, torch.zeros(1), "3 is Tensor, not a tensor with a name"),
    (f"{PLACE}new", torch.zeros(1), "'representation.new' is no parameter"),
    (PLACE + "x" * 10**5, torch.zeros(1), "... is no parameter"),
    (f"{PLACE}\n\x1b[2J", torch.zeros(1), "is no parameter"),
    (f"{PLACE}sample_network.network.{'9' * 5000}.bias", torch.zeros(1), "... is no parameter"),
    (f"{PLACE}sample_network.network.1.bias", torch.zeros(16), "occurs twice"),
    (f"{PLACE}sample_network.output_layer.{'x' * 10**5}", torch.zeros(1), "... is unknown"),
]


@pytest.mark.parametrize(("name", "value", "named"), PARAMETERS, ids=[told for _, _, told in PARAMETERS])
def test_a_parameter_that_is_none_is_named(
    name: Any, value: Any, named: str, released: tuple[dict[str, Tensor], dict[str, Any]], bounded: None
) -> None:
    weights: dict[Any, Any] = dict(released[0])
    weights.pop(name) if value is None else weights.__setitem__(name, value)
    one_line(named, lambda: load_released(weights, released[1]))


@pytest.mark.parametrize("given", [[], None, torch.zeros(1), {"a": {}}, "weights"])
def test_weights_that_are_none_are_refused(given: Any, released: tuple[Any, dict[str, Any]]) -> None:
    one_line("released weights", lambda: load_released(given, released[1]))
    one_line("released weights", lambda: load_released_discriminator(given, 32))


@pytest.mark.parametrize("size", [0, 3, 48, 2**20, -4])
def test_a_size_that_no_discriminator_has_is_named(size: int, bounded: None) -> None:
    one_line("image_size", lambda: load_released_discriminator({}, size))


@pytest.mark.parametrize("kind", ["pickle", "cut", "empty", "text", "folder", "missing", "huge header"])
def test_a_file_of_weights_that_is_none_is_named(
    kind: str, tmp_path: Path, released: tuple[Any, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights, settings = tmp_path / "weights.pth", tmp_path / "settings.json"
    settings.write_text(json.dumps(released[1]))
    content = safetensors.torch.save(released[0])
    contents = {"pickle": pickle.dumps(Bomb()), "cut": content[:-100], "empty": b"", "text": b"weights"}
    contents["huge header"] = struct.pack("<Q", 2**40) + b"{}"
    if kind in contents:
        weights.write_bytes(contents[kind])
    elif kind == "folder":
        weights.mkdir()
    one_line(str(weights), lambda: read_released(weights, settings))
    assert not Path("unpickled").exists()
    if kind != "folder":
        weights.write_bytes(content)
        assert read_released(weights, settings).z_dim == 256


@pytest.mark.parametrize("content", ["", "[]", "{half", NESTED, '{"base":' * 10**5, "9" * 5000, "\0"])
def test_a_file_of_settings_that_is_none_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(content)
    one_line("settings.json", lambda: read_released(tmp_path / "weights", tmp_path / "settings.json"))


def one_line(named: str, work: Any) -> None:
    with pytest.raises(ReleasedError) as refused:
        work()
    said = str(refused.value)
    assert named in said and said.isprintable() and len(said) < 700, said
    assert "take weights and settings of one released model" in said or "safetensors.torch.save_file" in said
