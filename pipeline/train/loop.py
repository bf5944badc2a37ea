"""The loop of a training run: steps on every process, and what the first one sees and keeps of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gram.analysis.health import Probe, diagnose
from gram.data.reader import ImageDataset
from gram.training.state import TrainingState
from gram.training.step import Reals, fit
from pipeline.cli.console import say
from pipeline.cli.progress import Progress, peak_memory_gib
from pipeline.config.schema import Config, TrainConfig
from pipeline.display import pictures
from pipeline.runtime import build, scene
from pipeline.runtime.processes import Agreement, Team
from pipeline.runtime.signals import Interrupts
from pipeline.tracking import runlog
from pipeline.tracking.runlog import RunLog
from pipeline.tracking.tracker import Tracker
from pipeline.train import checkpoints
from pipeline.train.averages import Averages
from pipeline.train.best_model import Best
from pipeline.train.collapse import CollapseError, Watch, collapse, not_finite, real_diversity

SHOWN = 32
"""Pictures of the grid."""
SWEPT = 3
"""Latents that are turned, and whose occupancy the surfaces show."""


class Observer:
    """Reports, pictures, distances and checkpoints of a run: what the first process does beside the steps.

    Args:
        config: of the run.
        state: that is trained; its step is where this process takes over.
        dataset: that is trained on.
        folder: of the checkpoints.
        tracker: of the run.
        conditions: of the checkpoints.
        origin: what a model tells about where it comes from.
    """

    def __init__(
        self,
        config: Config,
        state: TrainingState,
        dataset: ImageDataset,
        folder: Path,
        tracker: Tracker,
        conditions: Mapping[str, Any],
        origin: Mapping[str, Any],
    ) -> None:
        self._config, self._state, self._meta = config, state, dataset.meta
        self._folder, self._tracker, self._conditions = folder, tracker, conditions
        self._log = RunLog(folder, published=Path(config.paths.train), step=state.step)
        runlog.write_origin(Path(config.paths.train), origin)
        prior = scene.training_poses(config.data, dataset.meta)
        rng = torch.Generator().manual_seed(config.seed)
        self._z = torch.randn(SHOWN, config.model.z_dim, generator=rng)
        self._poses = prior.sample(SHOWN, generator=rng)
        self._probe = Probe.draw(config.model.z_dim, prior, seed=config.seed)
        self._watch = Watch(
            real_diversity=real_diversity(dataset),
            every=config.train.log_every,
            history=runlog.read(self._log.metrics),
        )
        self._best = Best(config, state, dataset, folder, origin)
        self._progress = Progress(
            "train", total=config.train.steps, done=state.step, items_per_unit=config.train.batch_size
        )

    def __enter__(self) -> "Observer":
        self._progress.__enter__()
        if self._state.step == 0:
            self.draw()
        else:  # what a run before this one could not send
            self._tracker.follow(self._log.metrics)
            self._tracker.pictures(self._log.samples, step=self._state.step)
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.__exit__(*error)

    def report(self, step: int, means: Mapping[str, float]) -> CollapseError | None:
        """Show and record the means since the last report, and what there is to see now.

        Returns:
            The error that ends the run, if nothing good can come of it any more.
        """
        shown = {"D": "loss/discriminator", "G": "loss/generator", "pose": "pose/fake"}
        self._progress.update(step, {short: means[name] for short, name in shown.items() if name in means})
        numbers = {
            **means,
            "images": step * self._config.train.batch_size,
            "images_per_second": self._progress.speed,
            "memory_gib": peak_memory_gib(),
            **diagnose(self._state.generator, self._probe),
        }
        error = self._judge(step, numbers)
        if error is None and measured(self._config.train, step):
            numbers |= self._best.measure()
        self._log.report(step, numbers)
        self._tracker.follow(self._log.metrics)
        return error

    def _judge(self, step: int, numbers: Mapping[str, float]) -> CollapseError | None:
        findings = self._watch.see({"step": step, **numbers})
        fatal = {"not finite", "collapse"} if self._config.train.stop_on_collapse else {"not finite"}
        for finding in findings:
            if finding.kind not in fatal and finding.new:
                say(f"train: step {step}: {finding.problem}. If it stays: {finding.remedy}")
        worst = [finding for finding in findings if finding.kind in fatal]
        return collapse(worst, step, self._folder) if worst else None

    def draw(self) -> None:
        """The first average of the generator, always on the same latents and poses."""
        generator, meta = build.averaged(self._state), self._meta
        device = next(generator.parameters()).device
        z, poses = self._z.to(device), self._poses.to(device)
        yaw = scene.shown_yaw(self._config.data, meta)
        drawn = {
            "grid": pictures.sample_grid(generator, z, poses, size=meta.size),
            "sweep": pictures.yaw_sweep(
                generator, z[:SWEPT], size=meta.size, yaw=yaw, near=meta.near, far=meta.far
            ),
            "surfaces": pictures.cross_section(generator, z[:SWEPT]),
        }
        for name, pixels in drawn.items():
            self._log.picture(name, self._state.step, pixels)
        self._tracker.pictures(self._log.samples, step=self._state.step)

    def unfit(self) -> CollapseError | None:
        """The error that ends the run, if its state is not worth a checkpoint."""
        return not_finite(self._state, self._folder)

    def save(self) -> None:
        """Write a checkpoint."""
        checkpoints.save(self._state, self._folder, self._config.train, self._conditions)

    def finish(self, model: Path) -> None:
        """Write the curves, and the best model, which is `model`, the last one, where none was measured."""
        self._log.finish()
        self._best.finish(model)
        if self._best.is_measured:
            self._tracker.artifact(self._best.published)


def load_reals(dataset: ImageDataset, device: torch.device) -> Reals:
    """All pictures with their poses.

    Raises:
        DatasetError: they cannot be used, or are not those that were prepared.
    """
    return Reals(images=dataset.load_images().to(device), poses=dataset.poses.to(device))


def train(
    config: Config,
    state: TrainingState,
    dataset: ImageDataset,
    reals: Reals,
    team: Team,
    observer: Observer | None = None,
) -> int | None:
    """Steps until train.steps are done or a signal arrives at any process; returns the signal's exit code.

    Every process gets to the same step, whoever the signal was for.

    Raises:
        CollapseError: in every process, if the first one sees that the run learns nothing any more.
    """
    if observer is not None:
        with observer:
            return _train(config, state, dataset, reals, team, observer)
    return _train(config, state, dataset, reals, team, None)


def _train(
    config: Config,
    state: TrainingState,
    dataset: ImageDataset,
    reals: Reals,
    team: Team,
    observer: Observer | None,
) -> int | None:
    settings = config.train
    prior = scene.training_poses(config.data, dataset.meta)
    steps = fit(
        state, reals, prior, build.training_settings(config), steps=settings.steps, processes=team.processes
    )
    averages, agreement = Averages(), Agreement(team.processes)
    with Interrupts() as interrupts:
        for step, metrics in steps:
            averages.add(metrics)
            code = agreement.ask(interrupts.exit_code or 0)
            last = step == settings.steps or code != 0
            if due(step, settings.log_every) or measured(settings, step) or last:
                means = team.processes.average_numbers(averages.take())
                error = None if observer is None else observer.report(step, means)
                _raise_together(error, team, agreement)
            if observer is not None and (due(step, settings.sample_every) or step == settings.steps):
                observer.draw()
            if due(step, settings.checkpoint_every) or last:
                _raise_together(None if observer is None else observer.unfit(), team, agreement)
                _require_equal_weights(state, team)
                if observer is not None:
                    observer.save()
            if code and step < settings.steps:
                agreement.close()
                if observer is not None:
                    say(f"train: stopped at step {step} of {settings.steps}; run again to go on")
                return code
    agreement.close()
    return None


def _require_equal_weights(state: TrainingState, team: Team) -> None:
    """Stop before a checkpoint is written of processes that have drifted apart."""
    if team.processes.size > 1:
        remedy = "a device is faulty, or one machine runs other software; run again from the last checkpoint"
        team.require_equal(f"weights of step {state.step}", state.digest(), remedy=remedy)


def _raise_together(error: CollapseError | None, team: Team, agreement: Agreement) -> None:
    """Raise in every process what the first one found."""
    if team.processes.largest(int(error is not None)):
        agreement.close()
        raise error or CollapseError("the first process has seen why")


def measured(train: TrainConfig, step: int) -> bool:
    """Whether the distance to real pictures is measured after this step."""
    return train.measure_every > 0 and (due(step, train.measure_every) or step == train.steps)


def due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps happens after this one."""
    return step % every == 0
