"""Rendered images of a model against those of its baked manifolds: likeness and images per second.

Poses are drawn from the prior of heads; PSNR is that of images in [-1, 1] between the two, at psi = 1.
Baking itself, once for each latent, is timed apart. Needs torch, NumPy and Accelerate only.
"""

import argparse
import math
from functools import partial
from pathlib import Path

import torch

from benchmarks.timing import Clock
from gram.extraction.baking import bake
from gram.geometry.poses import GaussianPoses
from gram.model.folder import load_model

SEEN = 64
"""Cameras that tell how far maps reach."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of a model on isosurfaces")
    parser.add_argument("--size", type=int, default=256, help="pixels along one side")
    parser.add_argument("--resolution", type=int, default=128, help="pixels along one side of a map")
    parser.add_argument("--images", type=int, default=8, help="that likeness is measured on")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = load_model(given.model).to(device)
    rng, prior = torch.Generator().manual_seed(0), GaussianPoses()
    seen = prior.sample(SEEN, generator=rng).to(device)
    z = torch.randn(given.images, generator.z_dim, generator=rng).to(device)
    poses = prior.sample(given.images, generator=rng).to(device)
    bake_one = partial(bake, generator, z[0], seen, resolution=given.resolution)
    charts = bake_one().charts

    likeness = []
    for one, pose in zip(z, poses, strict=True):
        baked = bake(generator, one, seen, resolution=given.resolution, charts=charts)
        own = generator.render(one[None], pose[None], size=given.size).image
        error = (baked.render(pose[None], size=given.size) - own).square().mean()
        likeness.append(20.0 * math.log10(2.0) - 10.0 * math.log10(float(error)))
    print(f"{'likeness, PSNR':24} {min(likeness):.1f} to {max(likeness):.1f} dB, {given.images} images")

    clock, baked = Clock(device, given.runs), bake_one(charts=charts)
    for name, work in (
        ("network", partial(generator.render, z[:1], poses[:1], size=given.size)),
        ("baked manifolds", partial(baked.render, poses[:1], size=given.size)),
        ("baking a latent", partial(bake_one, charts=charts)),
    ):
        median, fastest, slowest = (1e3 * seconds for seconds in clock.time(work))
        print(f"{name:24} {median:.1f} ms ({fastest:.1f}, {slowest:.1f})")


if __name__ == "__main__":
    main()
