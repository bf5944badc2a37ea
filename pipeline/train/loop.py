"""Training loop: steps on every process, which agree on when to stop."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gram.data.reader import ImageDataset
from gram.training.state import TrainingState
from gram.training.step import Reals, fit
from pipeline.runtime import build, scene
from pipeline.runtime.processes import DelayedMaximum, Team
from pipeline.runtime.signals import Interrupts
from pipeline.train.collapse import CollapseError
from pipeline.train.observer import NoObserver, Observer, due, measured
from pipeline.train.run import Run


def load_reals(dataset: ImageDataset, device: torch.device) -> Reals:
    """Load all images with their poses.

    Raises:
        DatasetError: images are unusable, or differ from those that were prepared.
    """
    return Reals(images=dataset.load_images().to(device), poses=dataset.poses.to(device))


def train(run: Run, observer: Observer | NoObserver) -> int | None:
    """Train until train.steps or a signal to any process; return the signal's exit code.

    All processes stop after the same step.

    Raises:
        CollapseError: the first process detected collapse; raised in every process.
    """
    settings, team = run.config.train, run.team
    prior, shape = (
        scene.training_poses(run.config.data, run.dataset.meta),
        build.training_settings(run.config),
    )
    steps = fit(run.state, run.reals, prior, shape, steps=settings.steps, processes=team.processes)
    averages, agreement = Averages(), DelayedMaximum(team.processes)
    with observer, Interrupts() as interrupts:
        for step, metrics in steps:
            averages.add(metrics)
            code = agreement.ask(interrupts.exit_code or 0)
            last = step == settings.steps or code != 0
            if due(step, settings.log_every) or measured(settings, step) or last:
                means = team.processes.average_numbers(averages.take())
                _raise_together(observer.report(step, means), team, agreement)
            if due(step, settings.sample_every) or step == settings.steps:
                observer.draw()
            if due(step, settings.checkpoint_every) or last:
                _raise_together(observer.check_state(), team, agreement)
                _require_equal_weights(run.state, team)
                observer.save()
            if code and step < settings.steps:
                agreement.close()
                observer.stopped(step)
                return code
    agreement.close()
    return None


class Averages:
    """Means over the steps since the last report; each metric over the steps that have it."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add one step's scalars."""
        for name, value in metrics.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """Return the means and reset them."""
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


def _require_equal_weights(state: TrainingState, team: Team) -> None:
    """Stop before a checkpoint if the weights differ between processes."""
    if team.processes.size > 1:
        remedy = "a device is faulty, or one machine runs other software; run again from the last checkpoint"
        team.require_equal(f"weights of step {state.step}", state.digest(), remedy=remedy)


def _raise_together(error: CollapseError | None, team: Team, agreement: DelayedMaximum) -> None:
    """Raise the first process's error in every process."""
    if team.processes.largest(int(error is not None)):
        agreement.close()
        raise error or CollapseError("the first process reports the reason")
