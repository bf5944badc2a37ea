"""Digests of the generator and the pictures that a result was made of: results carry them in `made_of`.

A result whose digests are not those of a model is never shown as that model's.
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
"""Entry of protocol.json, and of every latent in meshes.json."""
DIGEST = "digest"
"""Entry of model.json: the generator's own digest."""
DRAWING = ("generator", "radiance", "manifold", "ray_network", "sampler")
"""Sections of model.json that say how weights draw pictures."""
SHOWN = 12
"""Digits of a digest for people."""

MadeOf = Mapping[str, str | None]


def generator_digest(model: str | Path) -> str:
    """SHA-256 of the generator in a model folder: its weights, and the settings that they are used with.

    Raises:
        ModelError: the folder holds no model.
        OSError: a file of it cannot be read.
    """
    file = Path(model) / GENERATOR
    if not file.is_file():
        raise ModelError(f"{file} is missing: the model folder is incomplete, copy it again")
    return digest_of(file.read_bytes(), load_settings(model))


def digest_of(weights: bytes, settings: Mapping[str, Any]) -> str:
    """The digest of a generator's file and the settings in model.json."""
    drawing = {name: settings[name] for name in DRAWING if name in settings}
    return hashlib.sha256(json.dumps(drawing, sort_keys=True).encode() + b"\0" + weights).hexdigest()


def signed(files: Mapping[str, bytes], settings: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a model folder, with the generator's digest in model.json.

    Args:
        files: as `gram.model.folder.model_files` makes them.
        settings: that they were made with.
    """
    described = {**settings, DIGEST: digest_of(files[GENERATOR], settings)}
    return {**files, SETTINGS: (json.dumps(described, indent=2) + "\n").encode()}


@dataclass(frozen=True)
class Doubt:
    """Words about a result that is not, or may not be, of a model; false where there is no doubt.

    `is_another` tells that it is another model's for certain.
    """

    words: str = ""
    is_another: bool = False

    def __bool__(self) -> bool:
        return bool(self.words)

    def __str__(self) -> str:
        return self.words


def doubt(recorded: Iterable[MadeOf | None], digest: str) -> Doubt:
    """What is to be said of results that should be of the generator with a digest.

    Args:
        recorded: `made_of` of each result; None where it has none, as those of earlier versions.
        digest: of the generator that they should be of.
    """
    of = [None if one is None else one.get("generator") for one in recorded]
    if others := sorted({one for one in of if one is not None and one != digest}):
        told = f"of another model: {', '.join(map(short, others))}, not {short(digest)}"
        return Doubt(told, is_another=True)
    return Doubt("of a model that is not recorded") if None in of else Doubt()


def short(digest: str) -> str:
    """A digest for people."""
    return digest[:SHOWN]


def command(stage: str, config: Config) -> str:
    """The command with which a stage makes its results of the configuration's model."""
    model, own = config.paths.model, Path(config.paths.train) / "model"
    named = "" if Path(model).resolve() == own.resolve() else f" model={shlex.quote(model)}"
    return f"python -m pipeline.{stage}{named}"
