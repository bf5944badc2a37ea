"""Distances to real images: of the trained and of an untrained model, and between two sets of real ones."""

from gram.analysis.distances import Evaluator
from gram.metrics import Measurement, load_extractor
from gram.metrics.extractors import INCEPTION
from gram.metrics.fidelity import SMALLEST_SET
from pipeline.cli.console import say
from pipeline.cli.progress import progress_of
from pipeline.config.places import lasting
from pipeline.evaluate.part import EvaluatedModel


def measure(subject: EvaluatedModel) -> dict[str, Measurement]:
    """Measurements by name ('' is the trained model), of all metrics for which there are enough images.

    Raises:
        ValueError: the extractor's weights are unusable.
    """
    config, settings = subject.config, subject.config.evaluate
    weights = settings.inception_weights
    extractor = settings.extractor if weights is None else INCEPTION
    evaluator = Evaluator(
        subject.dataset,
        subject.prior,
        load_extractor(extractor, weights_path=weights, device=subject.device),
        images=settings.images,
        seed=settings.seed,
        psi=settings.psi,
        batch_size=settings.batch_size,
        kept=lasting(config.paths.checkpoints) / "features",
        show=progress_of,
    )
    if evaluator.count < settings.images:
        say(f"evaluate: {evaluator.count} images of each kind, as there are no more real ones")
    metrics, measured = evaluator.measurable(), {}
    if not metrics:
        return {}
    measured[""] = evaluator.measure(subject.generator, "first average", metrics=metrics)
    if settings.at_initialisation:
        twin = subject.untrained()
        measured["at_initialisation"] = evaluator.measure(twin, "untrained", metrics=metrics, keep=True)
    if settings.real_against_real and (metrics := evaluator.measurable(evaluator.half)):
        measured["real_against_real"] = evaluator.real_against_real(metrics=metrics)
    return measured


def too_few(subject: EvaluatedModel) -> str:
    """Reason why `measure` returned no measurement."""
    count, fewest = min(subject.config.evaluate.images, len(subject.dataset)), min(SMALLEST_SET.values())
    return f"{count} real image to compare with, but distances need at least {fewest}"
