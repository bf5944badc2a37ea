"""Whether samples are seen from where they are asked to be: a network tells that learned real pictures."""

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
from gram.metrics.angles import circular_correlation, turn_between
from gram.model.generator import quantised
from gram.rendering.samplers import Noise
from pipeline.cli.progress import Progress
from pipeline.config.places import lasting
from pipeline.display.figures import BLUE, VERMILION, plain, to_pixels
from pipeline.display.images import Pixels
from pipeline.evaluate.part import EvaluatedModel, PartResult

VERSION = 1
"""Raised when the network or its training change: kept networks are then not found."""
MOST_PICTURES = 20_000
"""That the network learns from; they are held in memory."""
READ_TOGETHER = 500
HELD_BACK = 10
"""One picture in so many tells the network's own error where there are no held-out ones."""
AXES = ("pitch", "yaw")


class PosePairs(NamedTuple):
    """Poses that were asked for and estimates, (count, 2) radians on the CPU."""

    asked: Tensor
    estimated: Tensor

    def errors(self) -> Tensor:
        """Differences (count, 2) in degrees, on the circle."""
        return torch.rad2deg(turn_between(self.estimated, self.asked))


def find(subject: EvaluatedModel) -> PartResult:
    """Mean absolute errors in degrees, beside those on real pictures that the network has not seen."""
    settings = subject.config.evaluate
    if not settings.pose_images:
        return PartResult.skip("evaluate.pose_images = 0", pictures=["poses"])
    learned, unseen, source = _split(subject)
    if not learned or not unseen[1]:
        few = f"{len(subject.dataset)} pictures are too few to learn poses from"
        return PartResult.skip(few, pictures=["poses"])
    network, made_from = _network(subject, learned)
    data, which = unseen
    floor = PosePairs(data.poses[which], network.estimate(_read(data, which)).cpu())
    ours = _samples(subject, network)
    values: dict[str, float] = {}
    for k, axis in enumerate(AXES):
        apart = turn_between(ours.asked.roll(1, 0), ours.asked)
        values |= {
            f"{axis}_error": float(ours.errors()[:, k].abs().mean()),
            f"{axis}_floor": float(floor.errors()[:, k].abs().mean()),
            f"{axis}_unrelated": float(torch.rad2deg(apart)[:, k].abs().mean()),
            f"{axis}_bias": float(ours.errors()[:, k].mean()),
            f"{axis}_correlation": circular_correlation(ours.asked[:, k], ours.estimated[:, k]),
        }
    protocol = {
        "samples": settings.pose_images,
        "poses": str(subject.prior),
        "resolution": subject.size,
        "psi": settings.psi,
        "seed": settings.seed,
        "unit": "degrees, on the circle; errors are absolute, bias is estimated minus asked",
        "floor": f"error on {len(floor.asked)} {source}",
        "unrelated": "difference between the poses of two samples",
        "correlation": "Fisher and Lee's, of angles on the circle",
        "network": made_from,
    }
    found = {name: value for name, value in values.items() if math.isfinite(value)}
    return PartResult(values=found, protocol=protocol, pictures={"poses": _plot(ours, floor, values)})


def _split(subject: EvaluatedModel) -> tuple[list[int], tuple[ImageDataset, list[int]], str]:
    """Pictures to learn from, pictures that the network will not have seen, and what these are.

    What is held back is the end of the training pictures: mirrored twins and views of one person often stand
    side by side, and would tell the answer.
    """
    everything = list(range(len(subject.dataset)))
    if subject.held_out is not None:
        held_out = subject.held_out
        return everything, (held_out, list(range(min(len(held_out), MOST_PICTURES)))), "held-out pictures"
    cut = len(everything) - len(everything) // HELD_BACK
    unseen = everything[cut:][:MOST_PICTURES]
    return everything[:cut], (subject.dataset, unseen), "training pictures that were held back"


def _network(subject: EvaluatedModel, learned: list[int]) -> tuple[PoseNetwork, dict[str, Any]]:
    """The network, trained unless it is kept from another time, and what it was made from."""
    settings = subject.config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(learned), generator=rng)[:MOST_PICTURES].tolist()
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
    """Pictures, uint8, no larger than the network sees them."""
    parts: list[Tensor] = []
    for start in range(0, len(which), READ_TOGETHER):
        images = dataset.load_images(which[start : start + READ_TOGETHER])
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
    """PosePairs against estimated, pitch and yaw; of samples and of real pictures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.9), layout="constrained")
    for k, (axis, axes) in enumerate(zip(AXES, figure.subplots(1, 2), strict=True)):
        for what, points, color in (("samples", ours, BLUE), ("real, not learned", floor, VERMILION)):
            asked = torch.rad2deg(points.asked[:, k]) - 90.0
            error = float(points.errors()[:, k].abs().mean())
            near = asked + points.errors()[:, k]  # the estimate, on the side of the circle where it was asked
            label = f"{what}: {error:.1f}° off"
            axes.plot(asked, near, "o", color=color, ms=4, alpha=0.6, mew=0, label=label)
        both = torch.cat([points.asked[:, k] for points in (ours, floor)])
        ends = [math.degrees(float(end)) - 90.0 for end in (both.min(), both.max())]
        axes.plot(ends, ends, color="black", lw=1)
        zero = "0 is the frontal view" if axis == "yaw" else "0 is the horizon, positive is below"
        axes.set(title=f"{axis}, degrees; {zero}", xlabel="asked for", ylabel="estimated from the picture")
        axes.legend(frameon=False, title=f"two poses: {values[f'{axis}_unrelated']:.1f}° apart")
        plain(axes)
    return to_pixels(figure)
