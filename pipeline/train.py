"""`python -m pipeline.train`: adversarial training that goes on where it was interrupted."""

import os
import sys
from pathlib import Path

import torch

from gram.data.reader import ImageDataset
from gram.memory import keep_freed_memory
from gram.training import Reals, TrainingState, fit
from pipeline import build, checkpoints, pictures, scene, tracking
from pipeline.averages import Averages
from pipeline.cli import EXIT_INTERRUPTED, EXIT_REQUEUE, Stage, main
from pipeline.config import as_dict
from pipeline.console import say
from pipeline.fingerprint import fingerprint
from pipeline.interrupts import Interrupts
from pipeline.options import leaves
from pipeline.progress import Progress, peak_memory_gib
from pipeline.runlog import RunLog
from pipeline.schema import Config

STAGE = Stage(
    name="train",
    summary="""
Trains a generator and a discriminator on data/train. Every train.checkpoint_every steps all that is needed to
go on exactly is written to checkpoints/<fingerprint of the configuration without its length>/; the same
command goes on from there after any interruption, and raising train.steps goes on from the last step.

runs/train/ receives metrics.jsonl and samples/*.png while training goes on, and model/ at its end.""",
    groups=("model", "sampler", "train", "tracking"),
    examples=(
        ("python -m pipeline.train", "what params.yaml says: eight minutes on two cores"),
        ("python -m pipeline.train train.steps=4000", "go on to twice the steps"),
        ("python -m pipeline.train sampler.levels=12 tracking=none", "more surfaces, without MLflow"),
    ),
    exit_codes=f"""\
  {EXIT_REQUEUE}   stopped by SIGTERM or SIGUSR1 with a checkpoint: schedulers may requeue
  {EXIT_INTERRUPTED}  stopped by Ctrl-C with a checkpoint""",
)
SHOWN = 32
"""Pictures of the grid."""
SWEPT = 3
"""Latents that are turned."""


def run(config: Config) -> int | None:
    """Train, and write the model, metrics.jsonl, curves.csv and samples to paths.train.

    Returns:
        An exit code where a signal stopped training, else None.

    Raises:
        ValueError: data and configuration do not fit, or the machine cannot do what is asked.
        OSError: a checkpoint cannot be written; the one before it is intact.
    """
    _set_up_torch(config)
    device = build.device(config.train.device)
    dataset = scene.open_dataset(config.paths.train_data, config.data)
    state = build.training_state(config, dataset.meta, device)
    build.require_reachable_levels(state.generator, scene.training_poses(config.data, dataset.meta))
    mark = fingerprint(config, data_hash=dataset.content_hash)
    with checkpoints.work_folder(Path(config.paths.checkpoints), mark, steps=config.train.steps) as folder:
        checkpoints.resume(state, folder)
        tracker = tracking.start(config.tracking, state=folder / tracking.STATE)
        tracker.parameters(dict(leaves(as_dict(config))))
        tracker.tags(tracking.provenance(data_hash=dataset.content_hash, fingerprint=mark))
        try:
            code = _Session(config, state, dataset, folder, tracker).train(device)
        except BaseException:
            tracker.finish("FAILED")
            raise
        if code is None:
            made_from = {
                "seed": config.seed,
                "images": state.step * config.train.batch_size,
                "steps": state.step,
            }
            made_from |= {"data_hash": dataset.content_hash, "fingerprint": mark, "run": tracker.run_id}
            model = Path(config.paths.train) / "model"
            build.save_model(model, state, build.model_settings(config, dataset.meta), made_from)
            tracker.artifact(model)
            say(f"train: {model} after {state.step} steps")
        tracker.finish("FINISHED" if code is None else "KILLED")
    return code


class _Session:
    """What happens around the steps: reports, pictures, checkpoints."""

    def __init__(
        self,
        config: Config,
        state: TrainingState,
        dataset: ImageDataset,
        folder: Path,
        tracker: tracking.Tracker,
    ) -> None:
        self._config, self._state, self._dataset = config, state, dataset
        self._folder, self._tracker = folder, tracker
        self._prior = scene.training_poses(config.data, dataset.meta)
        self._log = RunLog(folder, published=Path(config.paths.train), step=state.step)
        self._averages = Averages()
        rng = torch.Generator().manual_seed(config.seed)
        self._z = torch.randn(SHOWN, config.model.z_dim, generator=rng)
        self._poses = self._prior.sample(SHOWN, generator=rng)

    def train(self, device: torch.device) -> int | None:
        """Steps until train.steps are done or a signal arrives; returns the signal's exit code."""
        settings, state = self._config.train, self._state
        reals = Reals(images=self._dataset.load_images().to(device), poses=self._dataset.poses.to(device))
        steps = fit(state, reals, self._prior, build.training_settings(self._config), steps=settings.steps)
        if state.step == 0:
            self._draw(device)
        with (
            Interrupts() as interrupts,
            Progress(
                "train", total=settings.steps, done=state.step, items_per_unit=settings.batch_size
            ) as progress,
        ):
            for step, metrics in steps:
                self._averages.add(metrics)
                last = step == settings.steps or interrupts.exit_code is not None
                if due(step, settings.log_every) or last:
                    self._report(step, progress)
                if due(step, settings.sample_every) or step == settings.steps:
                    self._draw(device)
                if due(step, settings.checkpoint_every) or last:
                    checkpoints.save(state, self._folder, keep=settings.keep_checkpoints)
                if interrupts.exit_code is not None and step < settings.steps:
                    say(f"train: stopped at step {step} of {settings.steps}; run again to go on")
                    return interrupts.exit_code
        self._log.finish()
        return None

    def _report(self, step: int, progress: Progress) -> None:
        means = self._averages.take()
        shown = {"D": "loss/discriminator", "G": "loss/generator", "pose": "pose/fake"}
        progress.update(step, {short: means[name] for short, name in shown.items() if name in means})
        speed = {"images": step * self._config.train.batch_size, "images_per_second": progress.speed}
        self._log.report(step, {**means, **speed, "memory_gib": peak_memory_gib()})
        self._tracker.follow(self._log.metrics)

    def _draw(self, device: torch.device) -> None:
        """The first average of the generator, always on the same latents and poses."""
        generator, meta = build.averaged(self._state), self._dataset.meta
        z, poses = self._z.to(device), self._poses.to(device)
        drawn = {
            "grid": pictures.sample_grid(generator, z, poses, size=meta.size),
            "sweep": pictures.yaw_sweep(
                generator,
                z[:SWEPT],
                size=meta.size,
                yaw=scene.shown_yaw(self._config.data, meta),
                near=meta.near,
                far=meta.far,
            ),
        }
        for name, pixels in drawn.items():
            self._log.picture(name, self._state.step, pixels)
            self._tracker.picture(name, self._state.step, pixels)


def due(step: int, every: int) -> bool:
    """Whether something that happens every so many steps happens after this one."""
    return step % every == 0


def _set_up_torch(config: Config) -> None:
    keep_freed_memory()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    if config.train.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # Nothing reads uninitialised memory, and filling it takes time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
        torch.backends.cudnn.benchmark = False


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
