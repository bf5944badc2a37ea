"""How noisy pictures are that are sampled at few points: of the model, and of a field in closed form."""

from pathlib import Path

from pipeline.evaluate import sampling_noise
from pipeline.evaluate.part import EvaluatedModel, PartResult

ANALYTIC_SIZE = 32
"""Pixels along one side of the field in closed form, smaller than those of python -m pipeline.noise."""


def find(subject: EvaluatedModel) -> PartResult:
    """Noise and error with the model's own sampler; noise.json has those of all others, too."""
    config, settings = subject.config, subject.config.evaluate
    out = Path(config.paths.evaluate)
    if not settings.noise_views:
        sampling_noise.write_numbers(out, {})  # DVC wants what a stage promises
        return PartResult.skip("evaluate.noise_views = 0", pictures=sampling_noise.PICTURES)
    untrained = subject.untrained()
    kind = subject.described["sampler"]["kind"]
    trained = sampling_noise.of_model(
        subject.generator,
        untrained,
        subject.prior,
        settings,
        kind=kind,
        size=subject.size,
        made_of=subject.made_of,
    )
    analytic = sampling_noise.of_analytic_field(
        settings.noise_points, seeds=settings.noise_seeds, views=settings.noise_views, size=ANALYTIC_SIZE
    )
    reports = {"trained": trained, "analytic": analytic}
    sampling_noise.write_numbers(out, reports)
    return PartResult(
        values=trained.own_numbers(), protocol=trained.protocol, pictures=sampling_noise.draw_all(reports)
    )
