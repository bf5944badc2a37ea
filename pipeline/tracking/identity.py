"""Digests of the generator and the images behind a result, in its entry `made_of`.

A result with other digests than a model is never reported as that model's.
"""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gram.model.folder import GENERATOR, SETTINGS, ModelError, load_settings
from pipeline.config.schema import Config

KEY = "made_of"
"""Entry of protocol.json, and of each latent in meshes.json."""
DIGEST = "digest"
"""Entry of model.json: digest of the generator."""
DRAWING = ("generator", "radiance", "manifold", "ray_network", "sampler")
"""Sections of model.json that affect rendered images."""
SHOWN = 12
"""Number of digits of a digest in messages."""

MadeOf = Mapping[str, str | None]


def generator_digest(model: str | Path) -> str:
    """SHA-256 of weights and settings of the generator in a model folder; ModelError if there is none."""
    file = Path(model) / GENERATOR
    if not file.is_file():
        raise ModelError(f"{file} is missing: the model folder is incomplete, copy it again")
    return digest_of(file.read_bytes(), load_settings(model))


def digest_of(weights: bytes, settings: Mapping[str, Any]) -> str:
    """Digest of a generator's file and its settings in model.json."""
    drawing = {name: settings[name] for name in DRAWING if name in settings}
    return hashlib.sha256(json.dumps(drawing, sort_keys=True).encode() + b"\0" + weights).hexdigest()


def signed(files: Mapping[str, bytes], settings: Mapping[str, Any]) -> dict[str, bytes]:
    """Add the generator's digest to model.json among `files`, from `gram.model.folder.model_files`."""
    described = {**settings, DIGEST: digest_of(files[GENERATOR], settings)}
    return {**files, SETTINGS: (json.dumps(described, indent=2) + "\n").encode()}


@dataclass(frozen=True)
class Doubt:
    """Doubt about a result: it is another model's if `is_another`, else possibly; false if there is none."""

    words: str = ""
    is_another: bool = False

    def __bool__(self) -> bool:
        return bool(self.words)

    def __str__(self) -> str:
        return self.words


def doubt(recorded: Iterable[MadeOf | None], digest: str) -> Doubt:
    """Doubt if results, by their `made_of` (None in earlier versions), are of a generator's digest."""
    of = [None if one is None else one.get("generator") for one in recorded]
    if others := sorted({one for one in of if one is not None and one != digest}):
        words = f"of another model: {', '.join(map(short, others))}, not {short(digest)}"
        return Doubt(words, is_another=True)
    return Doubt("of a model that is not recorded") if None in of else Doubt()


def short(digest: str) -> str:
    """Shorten a digest for messages."""
    return digest[:SHOWN]


def command(stage: str, config: Config) -> str:
    """Command of a stage for the configuration's model."""
    model, own = config.paths.model, Path(config.paths.train) / "model"
    named = "" if Path(model).resolve() == own.resolve() else f" model={shlex.quote(model)}"
    return f"python -m pipeline.{stage}{named}"
