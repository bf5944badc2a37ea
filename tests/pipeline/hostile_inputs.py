"""Damage to files, and files that are hostile from the start."""

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image

IMAGE = "images/00000/img00000001.png"
NESTED = "[" * 100_000
Make = Callable[[Path], object]
"""Spoils something in a folder."""


def in_json(file: str, path: str, value: Any) -> Make:
    """Put a value into a JSON file; `...` takes the entry out, and `path` is dotted."""

    def make(folder: Path) -> None:
        (found,) = folder.glob(file)
        content = json.loads(found.read_text())
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = content
        for part in way:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value
        found.write_text(json.dumps(content))

    return make


def written(file: str, content: bytes | str) -> Make:
    """Put something else in place of every file of a pattern."""

    def make(folder: Path) -> None:
        found = list(folder.glob(file)) or [folder / file]
        for one in found:
            one.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def cut(file: str, share: float) -> Make:
    """Leave the first part of every file of a pattern."""

    def make(folder: Path) -> None:
        for one in folder.glob(file):
            os.truncate(one, int(one.stat().st_size * share))

    return make


def tensor(file: str, name: str, value: torch.Tensor | None) -> Make:
    """Exchange a tensor, or take it out."""

    def make(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / file)
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
        safetensors.torch.save_file(tensors, folder / file)

    return make


def flipped(file: str, place: int) -> Make:
    """Flip a bit in every file of a pattern."""

    def make(folder: Path) -> None:
        for one in folder.glob(file):
            content = bytearray(one.read_bytes())
            content[place] ^= 1
            one.write_bytes(content)

    return make


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header says more than its pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(data))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in (*parts, (b"IEND", b""))
    )


def picture(mode: str, size: tuple[int, int], suffix: str = "png") -> Make:
    """Another picture in place of one."""
    return lambda folder: Image.new(mode, size).save(folder / "pictures" / IMAGE, suffix)


def zipped(change: Callable[[Path, bytearray], object]) -> Make:
    """Pack the pictures, and spoil the archive."""

    def make(folder: Path) -> None:
        path = folder / "pictures.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((folder / "pictures").rglob("*.*")):
                archive.write(file, file.relative_to(folder / "pictures"))
        content = bytearray(path.read_bytes())
        change(path, content)
        path.write_bytes(content)

    return make


def in_headers(name: str, local: int, central: int, value: bytes) -> Callable[[Path, bytearray], object]:
    """Overwrite bytes of both headers of a member."""

    def change(path: Path, content: bytearray) -> None:
        with zipfile.ZipFile(path) as archive:
            start = archive.getinfo(name).header_offset
        end = content.rindex(name.encode()) - 46
        content[start + local : start + local + len(value)] = value
        content[end + central : end + central + len(value)] = value

    return change


def twice(folder: Path) -> None:
    labels = json.loads((folder / "pictures/dataset.json").read_text())
    labels["labels"][1][0] = labels["labels"][0][0]
    (folder / "pictures/dataset.json").write_text(json.dumps(labels))


def exchanged(folder: Path) -> None:
    """Another picture of the same size among those that were prepared."""
    file = next(iter(sorted((folder / "train_data").rglob("*.png"))))
    Image.fromarray(np.full((16, 16, 3), 7, np.uint8)).save(file)


def depth(values: np.ndarray) -> Make:
    return lambda folder: np.save(
        folder / "pictures" / IMAGE.replace("images", "depth").replace("png", "npy"), values
    )
