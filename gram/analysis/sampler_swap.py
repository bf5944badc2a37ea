"""Rendering of a field with a different sampler than in training.

Each surface represents the space up to the next: delta is the distance between neighbours on the central ray
of the frontal camera. Densities of layers and volumes then both are optical depths per unit of length. The
densities of a field trained on surfaces are per surface; they are scaled by delta over the spacing of its
sampler, with which the rescaled field still renders the same images.
"""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from gram.analysis.analytic_field import WALL_Z, AnalyticField, shells
from gram.analysis.sampling_noise import NoSuchSamplerError, SampledScene, SceneView
from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.model.generator import Generator
from gram.networks.layers import Film
from gram.networks.manifold import ManifoldPredictor
from gram.ops.backend import use_backend
from gram.rendering.render_rays import Radiance
from gram.rendering.samplers import SAMPLERS, LayeredSampler, Sampler, SurfaceSampler
from gram.shapes import Float

HEADS = {"near": 0.88, "far": 1.12, "background_z": WALL_Z}
FOV = math.radians(12)
ANALYTIC_POSES = ((1.45, 1.15), (1.57, 1.57), (1.65, 1.85), (1.6, 2.15))
"""Camera poses (pitch, yaw) for the analytic field, radians."""
SPHERES = {"first_level": 23.0, "last_level": 8.0, "num_samples": 64}
"""Search in M at initialisation, as published for faces."""
Layered = TypeVar("Layered", bound=LayeredSampler)

SHELLS = {"first_level": 10.0, "last_level": 6.5, "num_samples": 64}
"""Search in 10 rho: from the surface of the ellipsoid to where transmittance is nearly 0."""


def analytic_scene(*, size: int, views: int = len(ANALYTIC_POSES)) -> SampledScene:
    """Build the scene of the analytic field, with up to four views of `size` x `size` pixels.

    The surfaces of `manifold` follow the ellipsoid, like ideally learned ones; F of `neusample` is untrained
    and places points in the middles of n equal bins.
    """
    field = AnalyticField()
    spheres = ManifoldPredictor(width=256, hidden_layers=1, init="sphere").requires_grad_(False)
    rays = pixel_rays(look_at_origin(torch.tensor(ANALYTIC_POSES[:views])), size=size, fov=FOV)
    scene_views = [SceneView(field, rays.rows(slice(i, i + 1))) for i in range(len(rays.origins))]
    integral = (field.integral(rays) * 2.0 - 1.0).to(rays.origins)
    learned, initial = (shells(), SHELLS), (spheres, SPHERES)

    def build(kind: str, points: int) -> Sampler:
        cls = _class_of(kind)
        if issubclass(cls, SurfaceSampler):
            manifold, levels = learned if cls.learns else initial
            return on_isosurfaces(cls, manifold, points, levels, HEADS)
        return without_isosurfaces(cls, points, HEADS, box=0.24)

    return SampledScene(scene_views, build, integral)


def trained_scene(
    generator: Generator,
    untrained: Generator,
    z: Float[Tensor, "views z_dim"],
    poses: Float[Tensor, "views 2"],
    *,
    size: int,
) -> SampledScene:
    """Build the scene of a trained generator's fields, one view per latent.

    `manifold` uses the learned M, if any; `spheres` uses M before training. `neusample` uses the trained F,
    if any, with its number of points only, or else an untrained one.

    Args:
        generator: trained generator.
        untrained: the same generator before training.
        z: latents.
        poses: (pitch, yaw), radians.
        size: image side in pixels.
    """
    trained = generator.sampler
    space = {"near": trained.near, "far": trained.far, "background_z": trained.background_z}
    scale = trained.typical_delta / spacing(trained) if isinstance(trained, LayeredSampler) else 1.0
    with torch.no_grad():
        film = generator.mapping(z)
    rays = pixel_rays(look_at_origin(poses), size=size, fov=generator.fov)
    images = [slice(i, i + 1) for i in range(len(z))]
    views = [SceneView(_scaled(generator, film.rows(image), scale), rays.rows(image)) for image in images]

    def build(kind: str, points: int) -> Sampler:
        sampler = chosen(kind, points).to(z.device)
        use_backend(sampler, trained.backend)
        return sampler

    def chosen(kind: str, points: int) -> Sampler:
        cls = _class_of(kind)
        if issubclass(cls, SurfaceSampler):
            source = trained if cls.learns else untrained.sampler
            if cls.learns and not (isinstance(source, SurfaceSampler) and source.learns):
                raise NoSuchSamplerError("the model has no learned isosurfaces")
            if not isinstance(source, SurfaceSampler):
                raise NoSuchSamplerError("the model was trained without isosurfaces: no levels are known")
            return on_isosurfaces(cls, source.manifold, points, _levels(source), space)
        if cls.learns and cls.kind == trained.kind:
            if points != trained.points_per_ray:
                raise NoSuchSamplerError(f"the model learned to place {trained.points_per_ray} points")
            return trained
        return without_isosurfaces(cls, points, space, box=generator.radiance.box)

    return SampledScene(views, build)


def _class_of(kind: str) -> type[Sampler]:
    if kind not in SAMPLERS:
        raise ValueError(f"there is no sampler of kind {kind!r}")
    return SAMPLERS[kind]


def on_isosurfaces(
    cls: type[SurfaceSampler],
    manifold: ManifoldPredictor,
    points: int,
    levels: Mapping[str, Any],
    space: Mapping[str, Any],
) -> SurfaceSampler:
    """Build a frozen sampler on isosurfaces and the background plane, if any, with `points` in total."""
    count = points - (space["background_z"] is not None)
    sampler = cls(manifold, levels=count, delta=1.0, **levels, **space)
    sampler.learn(False)
    return _with_delta(sampler)


def without_isosurfaces(cls: type[Sampler], points: int, space: Mapping[str, Any], *, box: float) -> Sampler:
    """Build an untrained sampler that needs no isosurfaces.

    Raises:
        NoSuchSamplerError: too few points.
    """
    arguments = {"points": points, "delta": 1.0, "box": box}
    arguments = {name: value for name, value in arguments.items() if name in cls.options}
    network = {"width": 1, "layers": 1, "frequencies": 0}
    try:
        sampler = cls.build({"sampler": {**arguments, **space}, "ray_network": network})
    except ValueError as error:
        raise NoSuchSamplerError(str(error)) from None
    sampler.learn(False)
    return _with_delta(sampler) if isinstance(sampler, LayeredSampler) else sampler


def spacing(sampler: LayeredSampler) -> float:
    """Mean distance between neighbouring surfaces on the central ray of the frontal camera.

    Raises:
        NoSuchSamplerError: that ray does not hit two neighbours.
    """
    frontal = look_at_origin(torch.full((1, 2), math.pi / 2)).to(sampler.deltas)
    rays = Rays(frontal[:, None, :3, 3], -frontal[:, None, :3, 2])
    with torch.no_grad():
        samples = sampler.sample(rays)
    t, hit = (part[0, 0, : sampler.evenly_spaced] for part in samples)
    distances = t.diff()[hit[1:] & hit[:-1]]
    if not len(distances):
        raise NoSuchSamplerError("the central ray does not meet two neighbouring surfaces")
    return float(distances.mean())


def _with_delta(sampler: Layered) -> Layered:
    sampler.deltas[: sampler.surfaces] = spacing(sampler)
    return sampler


def _levels(sampler: SurfaceSampler) -> dict[str, Any]:
    return {
        "first_level": float(sampler.values[0]),
        "last_level": float(sampler.values[-1]),
        "num_samples": sampler.num_samples,
        "mode": sampler.mode,
    }


def _scaled(generator: Generator, film: Film, scale: float) -> Radiance:
    def radiance(points: Tensor, directions: Tensor, hit: Tensor) -> tuple[Tensor, Tensor]:
        rgb, density = generator.radiance(points, directions, film, hit)
        return rgb, density * scale

    return radiance
