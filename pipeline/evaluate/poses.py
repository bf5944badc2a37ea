"""Accuracy of camera poses, estimated from rendered images by a network trained on real ones."""

import json
import math
from hashlib import sha256
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gram.analysis.pose_estimator import (
    LARGEST_SIZE,
    PoseNetwork,
    load_pose_network,
    save_pose_network,
    shrink,
    train_pose_network,
)
from gram.data.reader import ImageDataset
from gram.metrics.angles import angle_difference, circular_correlation
from gram.model.generator import quantised
from gram.rendering.samplers import Noise
from pipeline.cli.progress import Progress
from pipeline.config.places import lasting
from pipeline.display.figures import BLUE, VERMILION, legend_below, plain, to_pixels
from pipeline.display.images import Pixels
from pipeline.evaluate.part import EvaluatedModel, PartResult

VERSION = 1
"""Version of the network and its training; a new one invalidates cached networks."""
MAX_IMAGES = 20_000
"""Maximum number of training images of the network, bounds memory."""
READ_BATCH = 500
HELD_BACK = 10
"""Reciprocal share of the training images that are held back if there is no held-out set."""
AXES = ("pitch", "yaw")


class PosePairs(NamedTuple):
    """Requested camera poses and their estimates, (count, 2) radians on the CPU."""

    requested: Tensor
    estimated: Tensor

    def errors(self) -> Tensor:
        """Signed differences (count, 2) in degrees, in [-180, 180]."""
        return torch.rad2deg(angle_difference(self.estimated, self.requested))


def measure(subject: EvaluatedModel) -> PartResult:
    """Mean absolute errors in degrees, beside those of the network on held-out real images."""
    settings = subject.config.evaluate
    if not settings.pose_images:
        return PartResult.skip("evaluate.pose_images = 0", images=["poses"])
    learned, (data, held_out), source = _split(subject)
    if not learned or not held_out:
        few = f"{len(subject.dataset)} images are too few to learn poses from"
        return PartResult.skip(few, images=["poses"])
    network, made_from = _network(subject, learned)
    floor = PosePairs(data.poses[held_out], network.estimate(_read(data, held_out)).cpu())
    ours = _samples(subject, network)
    values: dict[str, float] = {}
    for k, axis in enumerate(AXES):
        unrelated = angle_difference(ours.requested.roll(1, 0), ours.requested)
        values |= {
            f"{axis}_error": float(ours.errors()[:, k].abs().mean()),
            f"{axis}_floor": float(floor.errors()[:, k].abs().mean()),
            f"{axis}_unrelated": float(torch.rad2deg(unrelated)[:, k].abs().mean()),
            f"{axis}_bias": float(ours.errors()[:, k].mean()),
            f"{axis}_correlation": circular_correlation(ours.requested[:, k], ours.estimated[:, k]),
        }
    protocol = {
        "samples": settings.pose_images,
        "poses": str(subject.prior),
        "resolution": subject.size,
        "psi": settings.psi,
        "seed": settings.seed,
        "unit": "degrees, on the circle; errors are absolute, bias is estimated minus requested",
        "floor": f"error on {len(floor.requested)} {source}",
        "unrelated": "difference between the poses of two samples",
        "correlation": "Fisher and Lee's, of angles on the circle",
        "network": made_from,
    }
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return PartResult(values=finite, protocol=protocol, images={"poses": _plot(ours, floor, values)})


def _split(subject: EvaluatedModel) -> tuple[list[int], tuple[ImageDataset, list[int]], str]:
    """Indices of the network's training images, data set and indices of its test images, and their name.

    Without a held-out set, the last training images are held back: a random choice would leave mirrored
    copies and views of the same person in the training set.
    """
    everything = list(range(len(subject.dataset)))
    if subject.held_out is not None:
        held_out = subject.held_out
        return everything, (held_out, list(range(min(len(held_out), MAX_IMAGES)))), "held-out images"
    cut = len(everything) - len(everything) // HELD_BACK
    held_back = everything[cut:][:MAX_IMAGES]
    return everything[:cut], (subject.dataset, held_back), "training images that were held back"


def _network(subject: EvaluatedModel, learned: list[int]) -> tuple[PoseNetwork, dict[str, Any]]:
    """Pose network, loaded from the cache or trained, and the settings that identify it."""
    settings = subject.config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(learned), generator=rng)[:MAX_IMAGES].tolist()
    made_from = {
        "version": VERSION,
        "data_hash": subject.dataset.content_hash,
        "pictures": len(order),
        "of": len(learned),
        "resolution": min(LARGEST_SIZE, subject.size),
        "steps": settings.pose_steps,
        "seed": settings.seed,
    }
    digest = sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]
    folder = lasting(subject.config.paths.checkpoints) / "pose_network" / digest
    network = load_pose_network(folder, subject.size)
    if network is None:
        which = [learned[i] for i in order]
        images, poses = _read(subject.dataset, which), subject.dataset.poses[which]
        with Progress("pose network", total=settings.pose_steps, items="updates") as progress:
            network = train_pose_network(
                images, poses, steps=settings.pose_steps, seed=settings.seed, device=subject.device,
                progress=progress.update,
            )  # fmt: skip
        save_pose_network(folder, network, json.dumps(made_from, indent=2))
    return network.to(subject.device), made_from


def _read(dataset: ImageDataset, which: list[int]) -> Tensor:
    """Images, uint8, at the network's input size or smaller."""
    parts: list[Tensor] = []
    for start in range(0, len(which), READ_BATCH):
        images = dataset.load_images(which[start : start + READ_BATCH])
        small = shrink(images.float(), min(LARGEST_SIZE, dataset.size))
        parts.append(small.round().to(torch.uint8))
    return torch.cat(parts)


def _samples(subject: EvaluatedModel, network: PoseNetwork) -> PosePairs:
    settings, generator, device = subject.config.evaluate, subject.generator, subject.device
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(settings.pose_images, generator.z_dim, generator=rng)
    poses = subject.prior.sample(settings.pose_images, generator=rng)
    seeds = torch.randint(2**31, (settings.pose_images,), generator=rng)
    estimated: list[Tensor] = []
    with Progress("poses", total=len(z)) as progress:
        parts = (tensor.to(device).split(settings.batch_size) for tensor in (z, poses, seeds))
        for some_z, some_poses, some_seeds in zip(*parts, strict=True):
            rendered = generator.render(
                some_z, some_poses, size=subject.size, psi=settings.psi, noise=Noise(some_seeds)
            )
            estimated.append(network.estimate(quantised(rendered.image)).cpu())
            progress.update(sum(map(len, estimated)))
    return PosePairs(poses, torch.cat(estimated))


def _plot(ours: PosePairs, floor: PosePairs, values: dict[str, float]) -> Pixels:
    """Estimated over requested pitch and yaw, of rendered and of real images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.9), layout="constrained")
    for k, (axis, axes) in enumerate(zip(AXES, figure.subplots(1, 2), strict=True)):
        for name, pairs, color in (("samples", ours, BLUE), ("real, held out", floor, VERMILION)):
            requested, errors = torch.rad2deg(pairs.requested[:, k]) - 90.0, pairs.errors()[:, k]
            unwrapped = requested + errors  # estimate without the jump at 180 degrees
            label = f"{name}: {float(errors.abs().mean()):.1f}° off"
            axes.plot(requested, unwrapped, "o", color=color, ms=4, alpha=0.6, mew=0, label=label)
        both = torch.cat([pairs.requested[:, k] for pairs in (ours, floor)])
        ends = [math.degrees(float(end)) - 90.0 for end in (both.min(), both.max())]
        axes.plot(ends, ends, color="black", lw=1)
        zero = "0 is the frontal view" if axis == "yaw" else "0 is the horizon, positive is below"
        axes.set(title=f"{axis}, degrees; {zero}", xlabel="requested", ylabel="estimated from the image")
        legend_below(axes, ncols=2, title=f"two poses: {values[f'{axis}_unrelated']:.1f}° apart", fontsize=9)
        plain(axes)
    return to_pixels(figure)
