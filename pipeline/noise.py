"""`python -m pipeline.noise`: sampling noise of images at few points per ray, without a model."""

import sys
from pathlib import Path

from gram.rendering.samplers import SAMPLERS
from pipeline.cli.command import main
from pipeline.cli.console import say, write
from pipeline.cli.stage import Stage
from pipeline.config.schema import Config
from pipeline.display.images import write_png
from pipeline.evaluate import sampling_noise
from pipeline.runtime import outputs
from pipeline.runtime.recognition import NOISE

STAGE = Stage(
    name="noise",
    summary="""
Renders an analytic field, a soft ellipsoid of a head's size, with every sampler, evaluate.noise_points points
per ray and 16 seeds, without model and data. Writes the standard deviation of pixels over seeds, and the
errors of images against 1,024 points per ray and against the exact integral: noise.json, a figure
(noise.png), and crops side by side (noise_crops.png). docs/sampling-noise.md explains them.

python -m pipeline.evaluate measures the same for a trained model.""",
    groups=("evaluate", "paths"),
    examples=(
        ("python -m pipeline.noise", "all samplers with 6 to 48 points, less than a minute on two CPU cores"),
        ("python -m pipeline.noise evaluate.noise_points=[8,16,32,64]", "other numbers of points"),
    ),
)
SIZE = 48
"""Size of measured images in pixels."""


def run(config: Config) -> None:
    """Write noise.json, noise.png and noise_crops.png to paths.noise; ValueError if it has foreign files."""
    out = Path(config.paths.noise)
    with outputs.replacing(out, NOISE) as aside:
        report = sampling_noise.measure_analytic_field(config.evaluate.noise_points, size=SIZE)
        sampling_noise.write_numbers(aside, {"analytic": report})
        for name, pixels in sampling_noise.draw_figures({"analytic": report}).items():
            write_png(aside / f"{name}.png", pixels)
    write(table(report))
    for one in report.skipped:
        say(f"{one.sampler} with {one.points} points: skipped, {one.why}")
    say(f"{out}/noise.png and noise_crops.png show the results, noise.json has all numbers")


def table(report: sampling_noise.NoiseReport) -> str:
    """Table of noise / error for each sampler and number of points."""
    numbers = sorted({one.points for one in report.measured})
    lines = ["standard deviation over seeds / error against 1,024 points, images in [-1, 1]", ""]
    lines.append(f"{'points per ray':14}" + "".join(f"{number:>18}" for number in numbers))
    for kind in SAMPLERS:
        of = {one.points: one for one in report.measured if one.sampler == kind}
        cells = [f"{of[n].std:.4f} / {of[n].rmse:.4f}" if n in of else "" for n in numbers]
        lines.append(f"{kind:14}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
