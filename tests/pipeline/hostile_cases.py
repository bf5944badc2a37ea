"""Files that are damaged, foreign or hostile, and the command that meets each of them.

To try another reader, add its cases to CASES; to try a stage, a command to COMMANDS.
"""

import math
import pickle  # noqa: TID251 - to show that it is never read
import shutil
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from hostile_inputs import (
    IMAGE,
    NESTED,
    Make,
    cut,
    depth,
    exchanged,
    flipped,
    in_headers,
    in_json,
    picture,
    png,
    tensor,
    twice,
    written,
    zipped,
)


class Command(NamedTuple):
    """A stage, its arguments, and options that name files in the folder of a case."""

    stage: str
    arguments: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


_IMAGES = ("data=images", "data.size=16", "data.test_identities=1")
COMMANDS = {
    "export": Command("export"),
    "latents": Command("export", (), (("export.latents", "latents.bin"),)),
    "pack": Command("pack", ("--to", "/nowhere/packed")),
    "report": Command("report"),
    "evaluate": Command("evaluate"),
    "prepare": Command("prepare", _IMAGES, (("data.path", "pictures"),)),
    "prepare zip": Command("prepare", _IMAGES, (("data.path", "pictures.zip"),)),
    "train": Command("train", ("train.steps=9",)),
}


class Case(NamedTuple):
    """One input.

    `make` spoils a copy of what all stages have left, `command` is one of COMMANDS, `names` what its message
    has to name.
    """

    name: str
    make: Make
    command: str
    names: tuple[str, ...]


FIELDS: dict[str, list[Any]] = {
    "generator": [..., None, [], 3],
    "radiance": [..., "x"],
    "sampler": [..., []],
    "discriminator": [..., None],
    "made_from": [..., None, "x", 3],
    "generator.z_dim": [10**7, 10**11, 0, -1, "8", None, True, 8.5],
    "generator.fov": [0, 4, math.nan, "12"],
    "generator.mapping_layers": [10**9, 2],
    "radiance.width": [10**7, 13, []],
    "radiance.layers": [10**9, 1, 4],
    "radiance.box": [0, math.inf, 10**400],
    "radiance.frequency_scale": [math.nan],
    "manifold.centre": [[0], ["x", 0, 0], 3],
    "manifold.init": ["cube", ["sphere"]],
    "manifold.width": [10**8],
    "sampler.kind": ["cubes", None, "planes", {}],
    "sampler.levels": [10**7, 10**11, 0],
    "sampler.num_samples": [10**7, 1],
    "sampler.near": [1.3, -1, "a\nb"],
    "sampler.delta": [..., -1],
    "sampler.mode": ["exact"],
    "discriminator.size": [15, 10**7, "16"],
    "made_from.run": [..., 3],
    "made_from.seed": ["x"],
    "made_from.steps": [-1, [1]],
}
"""Of model.json: what each is made to say."""


def _models() -> Iterator[Case]:
    names = ("model.json",)
    for field, values in FIELDS.items():
        for value in values:
            shown = "out" if value is ... else repr(value)[:20]
            make = in_json("model/model.json", field, value)
            yield Case(f"{field} {shown}", make, "export", names)
    for content in ("", "{}", "[]", "3", "{half", NESTED, '{"a":' * 100_000, b"\xff\xfe\x00\x00", "9" * 5000):
        yield Case(f"model.json {content[:8]!r}", written("model/model.json", content), "export", names)
    yield Case("made_from.seed out", in_json("model/model.json", "made_from.seed", ...), "report", names)
    yield Case("made_from.images x", in_json("model/model.json", "made_from.images", "x"), "pack", names)
    weights, bias = "model/generator.safetensors", "mapping.output.bias"
    for share in (0.0, 0.1, 0.9):
        yield Case(f"weights cut to {share}", cut(weights, share), "export", (weights,))
    for name, value in (
        ("missing", None),
        ("of another shape", torch.zeros(3)),
        ("complex", torch.zeros(72, dtype=torch.complex64)),
        ("NaN", torch.full((72,), math.nan)),
    ):
        yield Case(f"weights {name}", tensor(weights, bias, value), "export", (weights, bias))
    yield Case("weights a pickle", written(weights, pickle.dumps([1])), "export", (weights,))
    huge = struct.pack("<Q", 2**40) + b"{}"
    yield Case("weights with a header of a terabyte", written(weights, huge), "export", (weights,))
    judge = "model/discriminator.safetensors"
    yield Case("discriminator cut", cut(judge, 0.5), "pack", (judge,))


def _checkpoints() -> Iterator[Case]:
    tensors = "checkpoints/*/step-*/tensors.safetensors"
    told = "checkpoints/*/step-*/checkpoint.json"
    names = ("step-00000004",)
    for share in (0.0, 0.5):
        yield Case(f"tensors cut to {share}", cut(tensors, share), "train", names)
        yield Case(f"description cut to {share}", cut(told, share), "train", names)
    yield Case("a flipped bit", flipped(tensors, -5), "train", names)
    for content in (
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 1, "step": 3}',
        NESTED,
        '{"format": [], "step": 4}',
    ):
        yield Case(f"checkpoint.json {content[:24]}", written(told, content), "train", names)
    yield Case("another format", written(told, '{"format": 7, "step": 4}'), "train", names)
    yield Case("a pickle", written(tensors, pickle.dumps([1])), "train", names)
    for line in ("[1]", '{"step": "x"}', '{"time": 1}', '{"step": 1, "loss": "x"}', NESTED):
        make = written("checkpoints/*/metrics.jsonl", f"{line}\n")
        yield Case(f"metrics.jsonl {line[:20]}", make, "train", ("metrics.jsonl, line 1",))


def _pictures() -> Iterator[Case]:
    labels, names = "pictures/dataset.json", ("dataset.json",)
    for content in (
        "",
        "{}",
        "[]",
        '{"labels": 3}',
        '{"labels": [3]}',
        '{"labels": [["a"]]}',
        NESTED,
        "[" * 9,
    ):
        yield Case(f"dataset.json {content[:22]}", written(labels, content), "prepare", names)
    for value in (1e300, 10**400, math.nan, "x", None, True, []):
        yield Case(f"label {str(value)[:9]}", in_json(labels, "labels.1.1.3", value), "prepare", (IMAGE,))
    for value in (3, None, "../../x.png", "/etc/passwd", "", "a\nb.png", ["x"]):
        yield Case(f"file name {value!r}", in_json(labels, "labels.1.0", value), "prepare", names)
    yield Case("one label twice", twice, "prepare", ("img00000000.png",))
    for value in (5, "x", {}, [0, "1", 2, 3], [0, 1.5, 2, 3], [0, 1, 2, 10**400], [0, None, 2, 3]):
        yield Case(f"identities {str(value)[:12]}", in_json(labels, "identities", value), "prepare", names)
    meta = "pictures/meta.json"
    for field in ("kind", "size", "fov", "near", "far", "background", "pose", "split", "licence", "seed"):
        for value in (["x"], {"a": 1}) if field != "pose" else (3, {}, {"yaw_mean": "x"}):
            yield Case(f"meta {field} {value}", in_json(meta, field, value), "prepare", ("meta.json",))
    yield Case("meta fov wide", in_json(meta, "fov", "wide"), "prepare", ("meta.json", "fov"))
    yield Case("meta nested", written(meta, NESTED), "prepare", ("meta.json",))
    yield Case("a picture exchanged", picture("RGB", (16, 16)), "prepare", ("meta.json",))


def _files() -> Iterator[Case]:
    file = f"pictures/{IMAGE}"
    for side in (6_000, 13_000, 50_000):
        yield Case(f"a picture of {side} squared", written(file, png(side, side)), "prepare", (IMAGE,))
    for content in (b"", b"hello", png(16, 16)[:40], b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG\r\n\x1a\n-" * 9):
        yield Case(f"a picture of {content[:9]!r}", written(file, content), "prepare", (IMAGE,))
    yield Case("a picture cut short", cut(file, 0.5), "prepare", (IMAGE,))
    yield Case("a picture of floats", picture("F", (16, 16), "tiff"), "prepare", (IMAGE,))
    yield Case("a picture not square", picture("RGB", (16, 12)), "prepare", (IMAGE,))
    for values in (np.zeros((3, 3)), np.zeros(0), np.zeros((16, 16), complex), np.full((16, 16), "x")):
        yield Case(f"depth {values.dtype} {values.shape}", depth(values), "prepare", ("img00000001.npy",))
    member = in_headers(IMAGE, 22, 24, struct.pack("<I", 2**32 - 2))
    for name, change in (
        ("of 4 GB", member),
        ("encrypted", in_headers(IMAGE, 6, 8, b"\x01\x00")),
        ("of an unknown compression", in_headers(IMAGE, 8, 10, b"\x61\x00")),
        ("with damaged bytes", lambda path, content: content.__setitem__(slice(90, 99), b"\xff" * 9)),
        ("without labels", in_headers("dataset.json", 30, 46, b"notthese.txt")),
        ("cut short", lambda path, content: content.__delitem__(slice(-40, None))),
        ("empty", lambda path, content: content.clear()),
    ):
        yield Case(f"a zip {name}", zipped(change), "prepare zip", ("pictures.zip",))
    yield Case("an exchanged picture, trained on", exchanged, "train", ("train_data", "meta.json"))
    yield Case("an exchanged picture, evaluated", exchanged, "evaluate", ("train_data", "meta.json"))
    yield Case("no pictures", lambda folder: shutil.rmtree(folder / "train_data/images"), "train", ("img",))


def _records() -> Iterator[Case]:
    for file in ("metrics.json", "protocol.json"):
        for content in ("", "[]", '{"fid": "x"}', '{"fid": [1]}', NESTED):
            yield Case(f"{file} {content[:9]}", written(f"evaluate/{file}", content), "report", (file,))
    for content in ("[]", '{"x": 3}', '{"../../x": {}}', '{"seed_0000": {"triangles": "x"}}'):
        name = f"meshes.json {content[:20]}"
        yield Case(name, written("export/meshes.json", content), "report", ("meshes.json",))
    yield Case("meta.json", written("train_data/meta.json", "[1]"), "report", ("meta.json",))
    for content in (b"", b"hello", pickle.dumps([1]), safetensors.torch.save({"w": torch.zeros(1, 8)})):
        name = f"latents {content[:6]!r}"
        yield Case(name, written("latents.bin", content), "latents", ("latents.bin",))
    for value in (torch.zeros(1, 9), torch.zeros(1, 8, dtype=torch.complex64), torch.full((1, 8), math.inf)):
        content = safetensors.torch.save({"z": value})
        yield Case(
            f"latents {value.dtype} {value.shape}",
            written("latents.bin", content),
            "latents",
            ("latents.bin",),
        )


CASES = [*_models(), *_checkpoints(), *_pictures(), *_files(), *_records()]
