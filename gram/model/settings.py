"""Schema of model.json, with bounds that keep hostile files from allocating excessive memory."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from gram.geometry.poses import GaussianPoses, SphericalPoses
from gram.rendering.samplers import SAMPLERS
from gram.system import documents
from gram.system.documents import Bounds

REMEDY = "copy the model again, or read it with the version of gram that wrote it"
Width = Annotated[int, Bounds(low=1, high=2**14)]
Layers = Annotated[int, Bounds(low=0, high=128)]
Points = Annotated[int, Bounds(low=1, high=1024)]
Length = Annotated[float, Bounds(above=0, high=1e3)]
Factor = Annotated[float, Bounds(low=-1e6, high=1e6)]
Words = Annotated[str, Bounds(high=256)]


class GeneratorSettings(TypedDict):
    """Arguments of `gram.model.generator.Generator`."""

    fov: Annotated[float, Bounds(above=0, high=math.pi)]
    z_dim: NotRequired[Width]
    mapping_width: NotRequired[Width]
    mapping_layers: NotRequired[Layers]


class RadianceSettings(TypedDict):
    """Arguments of `gram.networks.radiance.RadianceField`."""

    width: Width
    layers: Annotated[int, Bounds(low=2, high=128)]
    view_dependent: NotRequired[bool]
    box: NotRequired[Length]
    frequency_scale: NotRequired[Factor]
    frequency_offset: NotRequired[Factor]
    recompute: NotRequired[bool]


class ManifoldSettings(TypedDict):
    """Arguments of `gram.networks.manifold.ManifoldPredictor`."""

    width: NotRequired[Width]
    hidden_layers: NotRequired[Annotated[int, Bounds(low=1, high=128)]]
    centre: Annotated[list[Factor], Bounds(low=3, high=3)]
    init: NotRequired[Literal["published", "sphere"]]


class RayNetworkSettings(TypedDict, total=False):
    """Arguments of `gram.networks.sampling_network.RayNetwork`."""

    width: Width
    layers: Annotated[int, Bounds(low=1, high=128)]
    frequencies: Annotated[int, Bounds(low=0, high=32)]


class SamplerSettings(TypedDict):
    """Arguments of a sampler of `gram.rendering.samplers`."""

    kind: Words  # one of SAMPLERS
    near: Length
    far: Length
    background_z: NotRequired[Factor | None]
    delta: NotRequired[Length]
    points: NotRequired[Points]
    box: NotRequired[Length]
    levels: NotRequired[Points]
    first_level: NotRequired[Factor]
    last_level: NotRequired[Factor]
    num_samples: NotRequired[Annotated[int, Bounds(low=2, high=4096)]]
    mode: NotRequired[Literal["linear", "refined"]]


class DiscriminatorSettings(TypedDict):
    """Arguments of `gram.networks.discriminator.Discriminator`."""

    size: Annotated[int, Bounds(low=4, high=4096)]
    width: NotRequired[Annotated[float, Bounds(above=0, high=64)]]
    max_channels: NotRequired[Annotated[int, Bounds(low=1, high=2**16)]]


class PoseSettings(TypedDict):
    """Prior of camera poses: `gaussian` or `spherical`, with arguments of `gram.geometry.poses`."""

    kind: Literal["gaussian", "spherical"]
    yaw_mean: NotRequired[Factor]
    yaw_std: NotRequired[Factor]
    pitch_mean: NotRequired[Factor]
    pitch_std: NotRequired[Factor]
    yaw_range: NotRequired[Factor]
    v_mean: NotRequired[Factor]
    v_range: NotRequired[Factor]


class Measured(TypedDict):
    """Measured metrics, with the protocol that must match for a comparison."""

    values: dict[str, Annotated[float, Bounds(finite=False)]]
    protocol: dict[str, Any]


class MadeFrom(TypedDict, total=False):
    """Provenance of a trained model."""

    seed: Annotated[int, Bounds(low=0)]
    data_hash: Words
    fingerprint: Words
    run: Words | None
    images: Annotated[int, Bounds(low=0)]
    steps: Annotated[int, Bounds(low=0)]
    measured: Measured


class ModelSettings(TypedDict):
    """Complete content of model.json."""

    generator: GeneratorSettings
    radiance: RadianceSettings
    sampler: SamplerSettings
    discriminator: DiscriminatorSettings
    manifold: NotRequired[ManifoldSettings]
    ray_network: NotRequired[RayNetworkSettings]
    poses: NotRequired[PoseSettings]
    made_from: NotRequired[MadeFrom]


def pose_settings(prior: GaussianPoses | SphericalPoses) -> dict[str, Any]:
    """Entry `poses` of model.json for a prior."""
    return {"kind": "spherical" if isinstance(prior, SphericalPoses) else "gaussian", **asdict(prior)}


def pose_prior(settings: Mapping[str, Any]) -> GaussianPoses | SphericalPoses:
    """Pose prior of the content of model.json; older models without one have that of their background."""
    if "poses" not in settings:
        return SphericalPoses() if settings["sampler"].get("background_z") is None else GaussianPoses()
    arguments = {name: value for name, value in settings["poses"].items() if name != "kind"}
    return (SphericalPoses if settings["poses"]["kind"] == "spherical" else GaussianPoses)(**arguments)


def read(file: Path) -> dict[str, Any]:
    """Read model.json, including entries that are not part of the schema.

    Raises:
        DocumentError: invalid JSON, or a value of a wrong type or size.
        OSError: the file cannot be read.
    """
    settings = documents.read(file, ModelSettings, remedy=REMEDY)
    if (size := settings["discriminator"]["size"]) & (size - 1):
        raise documents.DocumentError(f"{file}: discriminator.size is {size}, no power of two: {REMEDY}")
    _require_sampler(file, settings)
    sampler = settings["sampler"]
    near, far = sampler["near"], sampler["far"]
    if near >= far:
        raise documents.DocumentError(f"{file}: sampler.near is {near}, not less than far = {far}: {REMEDY}")
    return settings


def _require_sampler(file: Path, settings: dict[str, Any]) -> None:
    """Refuse unknown kinds of samplers and missing arguments."""
    arguments = settings["sampler"]
    kind = arguments["kind"]
    if kind not in SAMPLERS:
        known = ", ".join(map(repr, SAMPLERS))
        raise documents.DocumentError(f"{file}: sampler.kind is {kind!r}, not one of {known}: {REMEDY}")
    sampler = SAMPLERS[kind]
    missing = [f"sampler.{name}" for name in sampler.options if name not in {*arguments, *sampler.optional}]
    if sampler.network_settings is not None and sampler.network_settings not in settings:
        missing.insert(0, sampler.network_settings)
    if missing:
        problem = f"{missing[0]} is missing, which samplers of kind {kind} need"
        raise documents.DocumentError(f"{file}: {problem}: {REMEDY}")
