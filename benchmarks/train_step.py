"""Images per second and memory of a full training step: one update of D and one of G, as published.

The setting: 24 surfaces (23 levels and the background plane), 64 search points a ray, linear intersections,
Phi of 8 view-dependent layers of width 256, M of width 128, the full discriminator, R1 on every step, two
averages. Without --size it measures the three rows that are compared with the prior implementation (on one
H100 with 80 GB) and with what is wanted of this one, and where the time of the first row goes:

    python -m benchmarks.train_step

Options that leave the function as it is belong to the table: --precision, --micro-batch, --patches,
--recompute, --channels-last; the first row is measured with the two that save memory, too. Kernels are tried
against plain torch first. Rows that --lazy-r1 and --samples add change the algorithm or the function and
stand apart. With --size, --batch and --width it measures one small case, also on a CPU:

    python -m benchmarks.train_step --size 16 --batch 2 --width 32

Needs torch, NumPy and Accelerate only. Believe a median only where the fastest and the slowest run are near
it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.parts import parts_of_a_step
from benchmarks.published import Case, Training
from benchmarks.timing import Clock, Timing
from gram.analysis.kernel_check import check_kernels
from gram.ops.backend import backend_of

LARGEST_ON_CPU = 64
"""Pixels along one side; more would take minutes a step, and say nothing."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A case of the table, with what others measured or want; `train` or one image `forward`."""

    name: str
    size: int
    batch: int
    forward: bool = False
    patches: int = 1
    recompute: bool = False
    prior: str = ""
    wanted: str = ""


TABLE = (
    Row(
        name="256 x 256, batch 4", size=256, batch=4,
        prior="4.0 images/s, 25.8 GiB", wanted="20 images/s, 8 GiB",
    ),
    Row(name="  the same, recomputing", size=256, batch=4, recompute=True),
    Row(name="  the same, in 2 patches", size=256, batch=4, patches=2, prior="(in 4) 1.9 images/s, 6.6 GiB"),
    Row(
        name="64 x 64, batch 16", size=64, batch=16,
        prior="45 images/s, 25.8 GiB", wanted="225 images/s, 12 GiB",
    ),
    Row(
        name="256 x 256, one image, forward", size=256, batch=1, forward=True,
        prior="63 ms, 9.3 GiB", wanted="15 ms",
    ),
)  # fmt: skip


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print for command-line arguments (default: the process's own).

    Returns:
        The exit code: 1 where this machine cannot.
    """
    arguments = _parser().parse_args(given)
    device = torch.device("cuda" if torch.cuda.is_available() and not arguments.cpu else "cpu")
    if device.type == "cpu" and not 0 < arguments.size <= LARGEST_ON_CPU:
        print(
            "there is no GPU here, and the table is one of a GPU: nothing was measured. A small case runs on "
            f"a CPU, too, with --size up to {LARGEST_ON_CPU}: --size 16 --batch 2 --width 32"
        )
        return 1
    torch.backends.cudnn.benchmark = True
    rows = TABLE
    if arguments.size:
        name = f"{arguments.size} x {arguments.size}"
        rows = (
            Row(name=f"{name}, batch {arguments.batch}", size=arguments.size, batch=arguments.batch),
            Row(name=f"{name}, one image, forward", size=arguments.size, batch=1, forward=True),
        )
    base = _case(arguments, device)
    print(_where(device, base, arguments.runs))
    print(_kernels(device, arguments.width))
    clock = Clock(device, arguments.runs)
    print(f"\n{'':34}{'median (fastest, slowest)':34}{'memory':>9}   {'prior implementation':24}wanted")
    for row in rows:
        print(measure(row, case_of(row, base), clock), flush=True)
    for name, case in _on_top(arguments, replace(base, size=rows[0].size, batch=rows[0].batch)):
        row = Row(name=f"+ {name}", size=case.size, batch=case.batch, prior="changes the algorithm")
        print(measure(row, case, clock), flush=True)
    if arguments.parts:
        print_parts(replace(base, size=rows[0].size, batch=rows[0].batch), clock)
    return 0


def measure(row: Row, case: Case, clock: Clock) -> str:
    """One line of the table."""
    clock.forget_memory()
    training = Training(case, clock.device)
    if row.forward:
        figure = _milliseconds(clock.time(_forward(training)))
    else:
        figure = _rate(clock.time(training.stepper()), case.batch * case.r1_every)
    return f"{row.name:34}{figure:34}{clock.peak_gib():5.1f} GiB   {row.prior:24}{row.wanted}".rstrip()


def print_parts(case: Case, clock: Clock) -> None:
    """Where the time of a training step goes."""
    clock.forget_memory()
    training = Training(case, clock.device)
    whole = 1000.0 * clock.time(training.stepper()).median / (case.batch * case.r1_every)
    parts = parts_of_a_step(training, clock)
    name = f"{case.size} x {case.size}, batch {case.batch}"
    print(f"\n{name}: milliseconds an image, each part timed by itself")
    for part in parts:
        print(f"  {part.name:44}{part.milliseconds:9.2f}{part.milliseconds / whole:8.0%}")
    rest = whole - sum(part.milliseconds for part in parts)
    print(f"  {'everything else (negative: parts overlap)':44}{rest:9.2f}{rest / whole:8.0%}")
    print(f"  {'the whole step':44}{whole:9.2f}")


def _forward(training: Training) -> Callable[[], None]:
    z = torch.randn(1, training.state.generator.z_dim).to(training.device)
    poses = training.prior.sample(1).to(training.device)

    @torch.no_grad()
    def draw() -> None:
        training.state.generator(z, poses, size=training.case.size)

    return draw


def _on_top(arguments: argparse.Namespace, case: Case) -> Iterator[tuple[str, Case]]:
    """Cases that change the function or the algorithm."""
    if arguments.lazy_r1:
        yield f"R1 every {arguments.lazy_r1} steps", replace(case, r1_every=arguments.lazy_r1)
    if arguments.samples:
        name = f"{arguments.samples} search points, refined roots"
        yield name, replace(case, num_samples=arguments.samples, mode="refined")


def case_of(row: Row, base: Case) -> Case:
    """The case of a row: what the command line asks for, and what the row does."""
    patches, recompute = max(base.patches, row.patches), base.recompute or row.recompute
    return replace(base, size=row.size, batch=row.batch, patches=patches, recompute=recompute)


def _case(arguments: argparse.Namespace, device: torch.device) -> Case:
    on_gpu = device.type == "cuda"
    channels_last = on_gpu if arguments.channels_last is None else arguments.channels_last
    return Case(
        size=arguments.size or TABLE[0].size, batch=arguments.batch, width=arguments.width,
        micro_batch=arguments.micro_batch, patches=arguments.patches, recompute=arguments.recompute,
        precision=arguments.precision or ("fp16" if on_gpu else "no"), channels_last=channels_last,
    )  # fmt: skip


def _where(device: torch.device, case: Case, runs: int) -> str:
    machine = f"CPU, {torch.get_num_threads()} threads (memory is the most of this process so far)"
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    options = f"precision {case.precision}, micro-batch {case.micro_batch or 'of 256 x 256 pixels'}"
    options += f", patches {case.patches}" + ", recomputing" * case.recompute
    options += ", channels last" * case.channels_last
    return f"{machine}, torch {torch.__version__}; {options}; median of {runs} runs"


def _kernels(device: torch.device, width: int) -> str:
    """Whether the kernels that are timed are right."""
    if not backend_of(device).kernels:
        return "no Triton kernels: plain torch is timed"
    return f"Triton's kernels: {check_kernels(device, width=width, manifold_width=width // 2)}"


def _rate(timing: Timing, images: int) -> str:
    return _spread(images / timing.median, images / timing.fastest, images / timing.slowest, "images/s")


def _milliseconds(timing: Timing) -> str:
    median, fastest, slowest = (1000.0 * seconds for seconds in timing)
    return _spread(median, fastest, slowest, "ms")


def _spread(median: float, fastest: float, slowest: float, unit: str) -> str:
    return f"{median:.4g} {unit} ({fastest:.4g}, {slowest:.4g})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--size", type=int, default=0, help="pixels along one side of one case in place of the table")
    add("--batch", type=int, default=4, help="images a step of that case (default: 4)")
    add("--width", type=int, default=256, help="of Phi; M has half of it, D its share (default: 256)")
    add("--precision", choices=("no", "bf16", "fp16"), help="default: fp16 on a GPU, no on a CPU")
    add("--micro-batch", type=int, default=0, help="images at a time (default: 256 x 256 pixels)")
    add("--patches", type=int, default=1, help="parts of an image that are back-propagated in turn")
    add("--recompute", action="store_true", help="keep no activations of Phi")
    add("--channels-last", action=argparse.BooleanOptionalAction, help="layout of D (default: on a GPU)")
    add("--lazy-r1", type=int, default=0, metavar="N", help="one more row: R1 every N steps")
    add("--samples", type=int, default=0, metavar="K", help="one more row: K search points, refined roots")
    add("--runs", type=int, default=9, help="runs of which the median is taken (default: 9)")
    add("--parts", action=argparse.BooleanOptionalAction, default=True, help="print where the time goes")
    add("--cpu", action="store_true", help="measure the CPU even where there is a GPU")
    return parser


if __name__ == "__main__":
    sys.exit(main())
