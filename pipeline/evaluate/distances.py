"""Distances between pictures of the model and real ones: of the trained model, of the untrained, of reals."""

from gram.analysis.distances import Evaluator
from gram.metrics import Measurement, load_extractor
from gram.metrics.extractors import INCEPTION
from gram.metrics.fidelity import SMALLEST_SET
from pipeline.cli.console import say
from pipeline.cli.progress import progress_of
from pipeline.config.places import lasting
from pipeline.evaluate.part import EvaluatedModel
from pipeline.runtime import build


def measure(subject: EvaluatedModel) -> dict[str, Measurement]:
    """Name ('' is the trained model) -> measurement, of the metrics that there are enough pictures for.

    Raises:
        ValueError: the extractor's weights cannot be used.
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
        say(f"evaluate: {evaluator.count} pictures of each kind, as there are no more real ones")
    metrics, measured = evaluator.measurable(), {}
    if not metrics:
        return {}
    measured[""] = evaluator.measure(subject.generator, "first average", metrics=metrics)
    if settings.at_initialisation:
        twin = build.untrained_twin(config.paths.model).to(subject.device)
        measured["at_initialisation"] = evaluator.measure(twin, "untrained", metrics=metrics, keep=True)
    if settings.real_against_real and (metrics := evaluator.measurable(evaluator.half)):
        measured["real_against_real"] = evaluator.real_against_real(metrics=metrics)
    return measured


def too_few(subject: EvaluatedModel) -> str:
    """Why there is no measurement where `measure` gave none."""
    count, fewest = min(subject.config.evaluate.images, len(subject.dataset)), min(SMALLEST_SET.values())
    return f"{count} real picture to compare with, but distances need at least {fewest}"
