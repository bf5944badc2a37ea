"""Images per second of the generator on a CPU: forward alone, and forward + backward.

The setting: 32 x 32 pixels, 12 surfaces (11 levels and the background plane), 32 search points a ray,
linear intersections, Phi of 8 view-dependent layers of width 64, M of width 32, batch 8, float32. On two CPU
cores the prior implementation does 3.7 images/s forward + backward; the target is three times that, 11.1.

Other processes on the same cores spoil the figure: OpenMP threads that wait for each other lose whole time
slices. Measure on an idle machine, or run with OMP_WAIT_POLICY=passive, and believe the median only where
the fastest and the slowest run are near it. Beside other work, `--threads 1` and its images per second of
CPU time say what one undisturbed core would do, or a little less. Needs torch, NumPy and Accelerate only.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch

from gram.geometry.poses import GaussianPoses
from gram.model.generator import Generator
from gram.networks.manifold import ManifoldPredictor
from gram.networks.radiance import RadianceField
from gram.rendering.samplers import SurfaceSampler

SIZE, BATCH = 32, 8
PRIOR_IMAGES_PER_SECOND = 3.7
TARGET = 3.0 * PRIOR_IMAGES_PER_SECOND


def build_generator(*, recompute: bool) -> Generator:
    """The model of the setting above, with random weights."""
    sampler = SurfaceSampler(
        ManifoldPredictor(width=32),
        levels=11, first_level=23.0, last_level=8.0,
        near=0.88, far=1.12, num_samples=32, delta=0.04, mode="linear",
    )  # fmt: skip
    radiance = RadianceField(width=64, layers=8, view_dependent=True, recompute=recompute)
    return Generator(radiance=radiance, sampler=sampler, fov=math.radians(12))


def images_per_second(
    work: Callable[[], None], runs: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Of every run, after one that warms up, slowest first."""
    work()
    rates = []
    for _ in range(runs):
        start = clock()
        work()
        rates.append(BATCH / (clock() - start))
    return sorted(rates)


def report(name: str, rates: list[float]) -> float:
    """Print median, slowest and fastest; return the median."""
    median = statistics.median(rates)
    print(f"{name:<20}{median:7.1f} images/s   (slowest {rates[0]:.1f}, fastest {rates[-1]:.1f})")
    return median


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2, help="cores to use (default: 2)")
    parser.add_argument("--runs", type=int, default=9, help="runs of which the median is taken (default: 9)")
    parser.add_argument(
        "--recompute", action="store_true", help="keep no activations: less memory, more time"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    generator = build_generator(recompute=arguments.recompute)
    z = torch.randn(BATCH, generator.z_dim)
    poses = GaussianPoses().sample(BATCH)

    def forward() -> None:
        with torch.no_grad():
            generator(z, poses, size=SIZE)

    def forward_and_backward() -> None:
        generator.zero_grad(set_to_none=True)
        generator(z, poses, size=SIZE).square().mean().backward()

    print(f"{arguments.threads} threads, median of {arguments.runs} runs of {BATCH} images")
    report("forward", images_per_second(forward, arguments.runs))
    report("the same, CPU time", images_per_second(forward, arguments.runs, time.process_time))
    rate = report("forward + backward", images_per_second(forward_and_backward, arguments.runs))
    report("the same, CPU time", images_per_second(forward_and_backward, arguments.runs, time.process_time))
    print(f"{rate / PRIOR_IMAGES_PER_SECOND:.1f} x the prior implementation's {PRIOR_IMAGES_PER_SECOND}")
    print(f"target {TARGET:.1f} images/s: {'reached' if rate >= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
