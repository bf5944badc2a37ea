"""Reports, images, distances and checkpoints of a training run, written by the first process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gram.analysis.health import Probe, diagnose
from pipeline.cli.console import say
from pipeline.cli.progress import Progress, peak_memory_gib
from pipeline.config.schema import TrainConfig
from pipeline.display import images
from pipeline.runtime import build, scene
from pipeline.tracking import runlog
from pipeline.tracking.runlog import RunLog
from pipeline.train import checkpoints
from pipeline.train.best_model import BestModel
from pipeline.train.collapse import (
    CollapseDetector,
    CollapseError,
    collapse_error,
    nonfinite_error,
    real_diversity,
)
from pipeline.train.run import Record, Run

GRID_IMAGES = 32
"""Number of images in the grid."""
SWEPT = 3
"""Number of latents in the yaw sweep and in the cross-section of occupancies."""


class NoObserver:
    """Observer of all processes but the first: does nothing."""

    def __enter__(self) -> "NoObserver":
        return self

    def __exit__(self, *error: Any) -> None: ...
    def report(self, step: int, means: Mapping[str, float]) -> None: ...
    def draw(self) -> None: ...
    def check_state(self) -> None: ...
    def save(self) -> None: ...
    def stopped(self, step: int) -> None: ...


class Observer:
    """Observer of the first process: writes reports, images, distances and checkpoints of a run."""

    def __init__(self, run: Run, record: Record) -> None:
        self._run, self._record = run, record
        config, state, published = run.config, run.state, Path(run.config.paths.train)
        self._log = RunLog(record.folder, published=published, step=state.step)
        runlog.write_origin(published, record.origin)
        prior = scene.training_poses(config.data, run.dataset.meta)
        rng = torch.Generator().manual_seed(config.seed)
        self._z = torch.randn(GRID_IMAGES, config.model.z_dim, generator=rng)
        self._poses = prior.sample(GRID_IMAGES, generator=rng)
        self._probe = Probe.draw(config.model.z_dim, prior, seed=config.seed)
        self._detector = CollapseDetector(
            real_diversity=real_diversity(run.dataset),
            every=config.train.log_every,
            history=runlog.read(self._log.metrics),
        )
        self._best = BestModel(run, record)
        self._progress = Progress(
            "train", total=config.train.steps, done=state.step, items_per_unit=config.train.batch_size
        )

    def __enter__(self) -> "Observer":
        self._progress.__enter__()
        if self._run.state.step == 0:
            self.draw()
        else:  # files that the interrupted run did not send
            self._record.tracker.follow(self._log.metrics)
            self._record.tracker.images(self._log.samples, step=self._run.state.step)
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.__exit__(*error)

    def report(self, step: int, means: Mapping[str, float]) -> CollapseError | None:
        """Show and record the means since the last report and the current diagnostics.

        Returns:
            The error that ends the run if it has collapsed, else None.
        """
        shown = {"D": "loss/discriminator", "G": "loss/generator", "pose": "pose/fake"}
        self._progress.update(step, {short: means[name] for short, name in shown.items() if name in means})
        numbers = {
            **means,
            "images": step * self._run.config.train.batch_size,
            "images_per_second": self._progress.speed,
            "memory_gib": peak_memory_gib(),
            **diagnose(self._run.state.generator, self._probe),
        }
        error = self._detect_collapse(step, numbers)
        if error is None and measured(self._run.config.train, step):
            numbers |= self._best.measure()
        self._log.report(step, numbers)
        self._record.tracker.follow(self._log.metrics)
        return error

    def _detect_collapse(self, step: int, numbers: Mapping[str, float]) -> CollapseError | None:
        symptoms = self._detector.add({"step": step, **numbers})
        fatal = {"not finite", "collapse"} if self._run.config.train.stop_on_collapse else {"not finite"}
        for symptom in symptoms:
            if symptom.kind not in fatal and symptom.new:
                say(f"train: step {step}: {symptom.problem}. If it persists: {symptom.remedy}")
        worst = [symptom for symptom in symptoms if symptom.kind in fatal]
        return collapse_error(worst, step, self._record.folder) if worst else None

    def draw(self) -> None:
        """Render the first average of the generator for fixed latents and poses, and write the images."""
        generator, meta = build.averaged(self._run.state), self._run.dataset.meta
        device = next(generator.parameters()).device
        z, poses = self._z.to(device), self._poses.to(device)
        yaw = scene.shown_yaw(self._run.config.data, meta)
        drawn = {
            "grid": images.sample_grid(generator, z, poses, size=meta.size),
            "sweep": images.yaw_sweep(
                generator, z[:SWEPT], size=meta.size, yaw=yaw, near=meta.near, far=meta.far
            ),
            "surfaces": images.cross_section(generator, z[:SWEPT]),
        }
        for name, pixels in drawn.items():
            self._log.image(name, self._run.state.step, pixels)
        self._record.tracker.images(self._log.samples, step=self._run.state.step)

    def check_state(self) -> CollapseError | None:
        """Return the error that ends the run if its state is not finite, so that no checkpoint holds it."""
        return nonfinite_error(self._run.state, self._record.folder)

    def save(self) -> None:
        """Write a checkpoint."""
        checkpoints.save(
            self._run.state, self._record.folder, self._run.config.train, self._record.conditions
        )

    def stopped(self, step: int) -> None:
        """Report that a signal has ended training."""
        say(f"train: stopped at step {step} of {self._run.config.train.steps}; run again to go on")

    def finish(self, model: Path) -> None:
        """Write the learning curves and the best model; `model`, the last one, if none was measured."""
        self._log.finish()
        self._best.finish(model)
        if self._best.is_measured:
            self._record.tracker.artifact(self._best.published)


def measured(train: TrainConfig, step: int) -> bool:
    """True where the distance to real images is measured after this step."""
    return train.measure_every > 0 and (due(step, train.measure_every) or step == train.steps)


def due(step: int, every: int) -> bool:
    """True after every `every`-th step."""
    return step % every == 0
