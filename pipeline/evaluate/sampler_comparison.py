"""Sampling noise of the model and of an analytic field, as a part of the evaluation."""

from pathlib import Path

from pipeline.evaluate import sampling_noise
from pipeline.evaluate.part import EvaluatedModel, PartResult

ANALYTIC_SIZE = 32
"""Side length of images of the analytic field, pixels; smaller than in python -m pipeline.noise."""


def measure(subject: EvaluatedModel) -> PartResult:
    """Noise and error with the model's sampler; noise.json has those of all others, too."""
    config, settings = subject.config, subject.config.evaluate
    out = Path(config.paths.evaluate)
    if not settings.noise_views:
        sampling_noise.write_numbers(out, {})  # DVC requires all outputs
        return PartResult.skip("evaluate.noise_views = 0", images=sampling_noise.FIGURES)
    trained = sampling_noise.measure_model(subject)
    analytic = sampling_noise.measure_analytic_field(
        settings.noise_points, seeds=settings.noise_seeds, views=settings.noise_views, size=ANALYTIC_SIZE
    )
    reports = {"trained": trained, "analytic": analytic}
    sampling_noise.write_numbers(out, reports)
    return PartResult(
        values=trained.own_numbers(), protocol=trained.protocol, images=sampling_noise.draw_figures(reports)
    )
