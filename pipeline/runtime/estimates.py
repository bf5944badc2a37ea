"""Lower bounds of memory, disk and time of a stage from its options, checked before any work.

They refuse the impossible in a second, without a trial; `python -m pipeline.plan` measures training. The sum
of these parts is compared with the free amount:

- prepare: rays of an image in float64 for each process; PNGs of half a byte per pixel.
- train: weights with gradients, moments and averages; reals and fakes of the batch; activations of a
micro-batch
  and patch in the radiance field, the discriminator's first block and the search for intersections.
- evaluate: points of the rays that are rendered at once.
- export: lattice, textures, layers, frames of the videos.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from pipeline.cli.progress import duration
from pipeline.cli.stage import FORCE
from pipeline.config.schema import Config
from pipeline.runtime import hardware
from pipeline.runtime.hardware import amount

if TYPE_CHECKING:
    from gram.rendering.samplers import Sampler

LONGEST_SECONDS = 365 * 86400.0
RAYS_PER_SECOND = 5e6
"""Rays per second of a core that renders meshes, several times the measured speed."""
CPU_SPEED, GPU_SPEED = 1e11, 1e15
"""Upper bounds of floating point operations per second of a core and of a GPU."""
PROCESS_BYTES = 100e6
"""Memory of a process after its imports."""
POINT_BYTES = 32
"""Bytes of position, distance, colour and density."""
SHARE_OF_CUBE = 0.5
"""Share of a marching-cubes grid in the cube around it."""


class Need(NamedTuple):
    """Part of an estimate, with the options that determine it, the most important first."""

    kind: str  # memory, disk or time
    amount: float  # bytes or seconds
    options: tuple[str, ...]


def require_room(stage: str, config: Config) -> None:
    """Refuse work beyond this machine, or longer than a year; ValueError names the options."""
    found = needs(stage, config)
    device = _device(config) if stage in ("train", "plan") else torch.device("cpu")
    for kind, there in (
        ("memory", float(hardware.free_memory(device))),
        ("disk", float(_free_disk(stage, config))),
        ("time", LONGEST_SECONDS),
    ):
        own = [need for need in found if need.kind == kind]
        total = sum(need.amount for need in own)
        if total > there:
            raise ValueError(_refusal(config, kind, total, there, max(own, key=lambda need: need.amount)))


def needs(stage: str, config: Config) -> list[Need]:
    """Parts of the estimate of a stage."""
    return list(_STAGES[stage](config))


def _refusal(config: Config, kind: str, total: float, there: float, largest: Need) -> str:
    options = ", ".join(f"{name} = {_value(config, name)}" for name in largest.options)
    if kind == "time":
        what = f"takes {duration(total)} or more, beyond the limit of {duration(there)}"
    else:
        place = "memory" if kind == "memory" else "disk space"
        what = f"takes {amount(total)} of {place} or more, and {amount(there)} are free"
    return f"{options}: this {what}: choose less, or start regardless with --{FORCE.name}"


def _value(config: Config, name: str) -> object:
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    return f"{len(value)} values" if isinstance(value, list) and len(value) > 3 else value


def _prepare(config: Config) -> Iterator[Need]:
    data = config.data
    if data.kind == "images":
        yield Need("memory", 12.0 * data.size**2, ("data.size",))
        return
    rays = float(data.size * data.supersampling) ** 2
    processes = data.processes or hardware.cores()
    images = data.identities + data.test_identities * data.views
    yield Need("memory", processes * (PROCESS_BYTES + 50 * rays), ("data.processes", "data.size"))
    yield Need("memory", 100.0 * images, ("data.identities", "data.test_identities", "data.views"))
    counted = ("data.identities", "data.test_identities", "data.views", "data.size")
    yield Need("disk", images * (0.5 * data.size**2 + 100), counted)
    seconds = images * (rays / RAYS_PER_SECOND + 1e-4) / min(processes, hardware.cores())
    yield Need("time", seconds, (*counted, "data.supersampling"))


def _train(config: Config) -> Iterator[Need]:
    train, model, data, sampler = config.train, config.model, config.data, config.sampler
    processes = train.launch.processes
    share = -(-train.batch_size // (processes * train.launch.machines))
    together = min(train.micro_batch or share, share)
    # a GPU belongs to one process, main memory to all of them
    on_gpu = _device(config).type == "cuda"
    times = 1 if on_gpu else processes
    yield Need("memory", 0.0 if on_gpu else times * PROCESS_BYTES, ("train.launch.processes",))
    weights = list(_weights(config))
    yield from (need._replace(amount=times * need.amount) for need in weights)
    pixels = float(data.size) ** 2
    yield Need("memory", times * 24.0 * share * pixels, ("train.batch_size", "data.size"))
    # activations of the radiance field, the search for intersections, the discriminator
    rays = together * max(1.0, pixels / train.patches)
    kept = 1 if train.recompute else model.layers
    points = rays * sampler.points * (POINT_BYTES + 2.0 * model.hidden * kept)
    activations = ("train.batch_size", "train.micro_batch", "data.size", "sampler.points", "model.hidden")
    yield Need("memory", times * points, (*activations, "model.layers"))
    yield Need("memory", times * 4.0 * rays * sampler.num_samples, ("sampler.num_samples", *activations[:3]))
    discriminated = ("train.batch_size", "train.micro_batch", "data.size", "model.discriminator_width")
    yield Need("memory", times * 8.0 * together * pixels * _channels(config, data.size), discriminated)
    # checkpoints that are kept
    checkpoints = min(train.keep_checkpoints, train.steps // train.checkpoint_every)
    if train.keep_every:
        checkpoints += train.steps // train.keep_every
    written = 0.8 * sum(need.amount for need in weights)
    yield Need("disk", written * checkpoints, ("train.keep_checkpoints", "train.keep_every"))
    # forward and backward passes of the sine layers alone
    flops = 6.0 * train.batch_size * pixels * sampler.points * model.hidden**2 * (model.layers - 1)
    speed = train.launch.machines * (processes * GPU_SPEED if on_gpu else hardware.cores() * CPU_SPEED)
    named = ("train.steps", "train.batch_size", "data.size", "sampler.points", "model.hidden", "model.layers")
    yield Need("time", train.steps * max(flops / speed, 1e-4), named)


def _weights(config: Config) -> Iterator[Need]:
    """Memory of the networks of one process: weights, gradients, moments, and the generator's averages."""
    model, size = config.model, config.data.size
    layers = model.layers + model.view_dependent
    mapping = model.z_dim * model.mapping_width + (model.mapping_layers - 1.0) * model.mapping_width**2
    mapping += 2.0 * model.mapping_width * layers * model.hidden
    named = ("model.mapping_width", "model.mapping_layers", "model.hidden", "model.layers")
    yield Need("memory", 24.0 * mapping, named)
    radiance = 3.0 * model.hidden + (layers - 1.0) * model.hidden**2
    yield Need("memory", 24.0 * radiance, ("model.hidden", "model.layers"))
    network = _samplers()[config.sampler.kind].network_settings
    if network == "manifold":
        placed = (model.manifold_layers - 1.0) * model.manifold_hidden**2
        yield Need("memory", 24.0 * placed, ("model.manifold_hidden", "model.manifold_layers"))
    elif network == "ray_network":
        placed = (model.ray_layers - 1.0) * model.ray_hidden**2
        yield Need("memory", 24.0 * placed, ("model.ray_hidden", "model.ray_layers"))
    sides = [2**e for e in range(size.bit_length() - 1, 0, -1)]
    channels = [_channels(config, side) for side in sides]
    convolved = sum(9.0 * o * (i + o) for i, o in pairwise(channels))
    named = ("model.discriminator_width", "model.discriminator_max_channels", "data.size")
    yield Need("memory", 16.0 * convolved, named)


def _samplers() -> Mapping[str, type["Sampler"]]:
    from gram.rendering.samplers import SAMPLERS  # imported late: not all stages need it

    return SAMPLERS


def _channels(config: Config, side: int) -> int:
    """Channels of the discriminator at `side` pixels."""
    from gram.networks.discriminator import FULL_CHANNELS_LOG2  # imported late: not all stages need it

    model = config.model
    most = min(model.discriminator_max_channels, 2**FULL_CHANNELS_LOG2 // side)
    return max(1, round(model.discriminator_width * most))


def _evaluate(config: Config) -> Iterator[Need]:
    evaluate, pixels = config.evaluate, float(config.data.size) ** 2
    drawn = min(evaluate.batch_size, evaluate.images)
    together = ("evaluate.batch_size", "evaluate.images", "data.size")
    yield Need("memory", POINT_BYTES * drawn * pixels, together)
    yield Need("memory", POINT_BYTES * float(max(evaluate.noise_points)), ("evaluate.noise_points",))
    views = evaluate.consistency_latents * evaluate.consistency_views
    consistency = ("evaluate.consistency_latents", "evaluate.consistency_views")
    yield Need("time", views * pixels * 1e3 / _speed(config), consistency)
    updates = evaluate.inversion_identities * (evaluate.inversion_steps + evaluate.inversion_tuning)
    inversions = ("evaluate.inversion_identities", "evaluate.inversion_steps", "evaluate.inversion_tuning")
    yield Need("time", updates * max(1e-4, pixels * 1e3 / _speed(config)), inversions)
    yield Need("time", evaluate.pose_steps * 1e-4, ("evaluate.pose_steps",))
    noisy = evaluate.noise_views * evaluate.noise_seeds * len(_samplers()) * min(pixels, 64.0**2)
    named = ("evaluate.noise_views", "evaluate.noise_seeds", "evaluate.noise_points")
    yield Need("time", noisy * sum(evaluate.noise_points) * 100 / _speed(config), named)


def _export(config: Config) -> Iterator[Need]:
    export = config.export
    latents = len(export.seeds) if export.latents is None else 1
    yield Need("memory", SHARE_OF_CUBE * 8.0 * export.resolution**3, ("export.resolution",))
    yield Need("memory", 32.0 * export.texture**2, ("export.texture",))
    yield Need("memory", 16.0 * (export.layers or 0) ** 2, ("export.layers",))
    frames = max(export.frames, latents * (export.between + 1)) if export.videos else 0
    video = ("export.frames", "export.between", "export.seeds", "export.size")
    yield Need("memory", 3.0 * frames * export.size**2, video)
    images = (latents * export.frames + latents * (export.between + 1)) if export.videos else 0
    yield Need("time", images * float(export.size) ** 2 * 1e3 / _speed(config), video)
    lattice = latents * SHARE_OF_CUBE * float(export.resolution) ** 3
    yield Need("time", lattice * 1e2 / _speed(config), ("export.resolution", "export.seeds"))


_STAGES: dict[str, Callable[[Config], Iterator[Need]]] = {
    "plan": _weights,
    "prepare": _prepare,
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
}


def _device(config: Config) -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() and config.train.device != "cpu" else "cpu")


def _speed(config: Config) -> float:
    return GPU_SPEED if _device(config).type == "cuda" else CPU_SPEED * hardware.cores()


def _free_disk(stage: str, config: Config) -> int:
    """Free bytes on the disk that the stage writes to."""
    place = Path(config.paths.checkpoints if stage == "train" else config.paths.train_data).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
