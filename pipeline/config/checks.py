"""Checks of values that are valid alone and contradict each other."""

import math
from collections.abc import Callable, Mapping

from pipeline.config.options import ConfigError, shown, suggestion
from pipeline.config.places import check_paths
from pipeline.config.schema import MESH_FORMATS, VIDEO_FORMATS, Config, DataConfig, ExportConfig

BACKGROUNDS = {"heads": "plane", "cars": "white"}
"""Background of generated images, by kind."""

FEWEST_FACES = 4
"""Triangles of the smallest closed surface."""
SMALLEST_TEXTURE = 16
TEXELS = 2
"""Minimum number of texels per triangle, on average."""
FASTEST_GIF = 50


def check_together(config: Config, sources: Mapping[str, str]) -> None:
    """Refuse contradictions between options; `sources` are the files that set them, for the message."""
    data = config.data

    def refuse(name: str, problem: str) -> None:
        raise ConfigError(f"{sources.get(name, 'configuration')}: {name} = {problem}")

    if data.size & (data.size - 1):
        below = 1 << (data.size.bit_length() - 1)
        halved = f"images are halved down to 2 x 2: choose {below} or {2 * below}"
        refuse("data.size", f"{data.size} is no power of two: {halved}")
    if data.near >= data.far:
        refuse("data.near", f"{data.near}, which must be less than data.far = {data.far}")
    if data.kind != "images":
        _check_generated(data, refuse)
    _check_sampler(config, refuse)
    for name, values, example in (
        ("train.betas", config.train.betas, [0.0, 0.9]),
        ("train.ema_decays", config.train.ema_decays, [0.999, 0.9999]),
        ("model.manifold_centre", config.model.manifold_centre, [0.0, 0.0, -1.5]),
    ):
        if len(values) != len(example):
            refuse(name, f"{shown(values)}: it takes {len(example)} numbers, as {example}")
    for name, values in (("train.betas", config.train.betas), ("train.ema_decays", config.train.ema_decays)):
        if not all(0.0 <= value < 1.0 for value in values):
            refuse(name, f"{values}: each lies in [0, 1)")
    if not config.evaluate.noise_points or min(config.evaluate.noise_points) < 2:
        refuse(
            "evaluate.noise_points",
            f"{shown(config.evaluate.noise_points)}: it takes numbers from 2, as [6, 12]",
        )
    _check_export(config.export, refuse)
    check_paths(config.paths, refuse)


def _check_sampler(config: Config, refuse: Callable[[str, str], None]) -> None:
    """Refuse too few points, and levels that do not descend."""
    from gram.rendering.samplers import SAMPLERS  # imported late, see `sampler_kinds`

    sampler = config.sampler
    cls = SAMPLERS[sampler.kind]
    if sampler.points < cls.fewest_points:
        refuse("sampler.points", f"{sampler.points}, but {sampler.kind} takes at least {cls.fewest_points}")
    if not cls.has_isosurfaces:
        return
    if sampler.points == 1 and config.data.background == "plane":
        refuse("sampler.points", "1, which is the background plane alone: choose 2 or more")
    if sampler.points > 1 and sampler.first_level <= sampler.last_level:
        refuse(
            "sampler.first_level",
            f"{sampler.first_level}, which must be greater than sampler.last_level = {sampler.last_level}: "
            "values fall along a ray, and the first level is the outermost surface",
        )


def _check_export(export: ExportConfig, refuse: Callable[[str, str], None]) -> None:
    """Refuse export options that would otherwise fail after hours of work."""
    if export.latents is None and not export.seeds:
        refuse("export.seeds", "[]: give at least one seed, or a file of latents")
    if min(export.seeds, default=0) < 0 or len(set(export.seeds)) < len(export.seeds):
        refuse("export.seeds", f"{shown(export.seeds)}: seeds are different whole numbers from 0")
    for name, given, known in (
        ("export.formats", export.formats, MESH_FORMATS),
        ("export.videos", export.videos, VIDEO_FORMATS),
    ):
        for unknown in (one for one in given if one not in known):
            hint = suggestion(unknown, known)
            refuse(name, f"{shown(given)}: there is no {unknown}, but {', '.join(known)}{hint}")
    if export.level is not None and not 0.0 < export.level < 1.0:
        refuse("export.level", f"{export.level}: an opacity lies between 0 and 1; null chooses it")
    if 0 < export.faces < FEWEST_FACES:
        refuse("export.faces", f"{export.faces}: a closed surface has {FEWEST_FACES} triangles or more")
    if export.texture and export.texture**2 < max(SMALLEST_TEXTURE**2, TEXELS * export.faces):
        side = max(SMALLEST_TEXTURE, math.ceil((TEXELS * export.faces) ** 0.5))
        refuse("export.texture", f"{export.texture}: {export.faces or 'all'} triangles take at least {side}")
    if "gif" in export.videos and export.fps > FASTEST_GIF:
        refuse("export.fps", f"{export.fps}: GIF viewers show at most {FASTEST_GIF} images per second")


def _check_generated(data: DataConfig, refuse: Callable[[str, str], None]) -> None:
    """Refuse generated data without field of view or poses, or with another background than is rendered."""
    if data.fov_degrees is None:
        refuse("data.fov_degrees", "null, but generated images need an angle, for instance 12")
    if data.poses == "fitted":
        refuse("data.poses", "fitted, but generated images need gaussian or spherical poses")
    if data.background != (drawn := BACKGROUNDS[data.kind]):
        refuse("data.background", f"{data.background}, but generated {data.kind} have {drawn}")
