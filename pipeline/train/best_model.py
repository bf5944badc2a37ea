"""Distances to real images during training, and the model with the smallest one.

The first average is measured with the protocol of `pipeline.evaluate` at the same number of images. The best
model lies beside the checkpoints, so that a resumed run finds it again, and is published as it appears.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.model.folder import SETTINGS
from gram.system.folders import remove_folder, write_folder
from pipeline.cli.console import say
from pipeline.config.places import lasting
from pipeline.runtime import build, scene
from pipeline.train.run import Record, Run, save_model

if TYPE_CHECKING:
    from gram.analysis.distances import Evaluator
    from gram.metrics import Measurement

FOLDER = "best"
SEED = 0
"""Seed of the real images, latents and poses that are compared, the same as in the presets of evaluate."""
BATCH = 50
MIN_IMAGES = 2
"""Minimum number of images on each side of a distance."""


class BestModel:
    """Measures the averaged generator of a run and keeps the best one.

    Raises:
        ValueError: train.measure_every is set, but packages or real images are missing.
    """

    def __init__(self, run: Run, record: Record) -> None:
        self._run, self._record = run, record
        self._kept, self.published = record.folder / FOLDER, Path(run.config.paths.train) / FOLDER
        remove_folder(self.published)
        if self.is_measured:
            _copy(self._kept, self.published)
        self._evaluator = self._make_evaluator() if run.config.train.measure_every else None

    def _make_evaluator(self) -> "Evaluator":
        config, dataset = self._run.config, self._run.dataset
        every = config.train.measure_every
        try:  # heavy imports, needed with train.measure_every only
            from gram.analysis.distances import Evaluator
            from gram.metrics import load_extractor
        except ImportError as error:
            raise ValueError(
                f"train.measure_every = {every} needs packages that are missing ({error}): "
                "install them, or measure with pipeline.evaluate elsewhere and set it to 0"
            ) from error
        if len(dataset) < MIN_IMAGES:
            raise ValueError(
                f"train.measure_every = {every}, but there is {len(dataset)} image to compare with: "
                f"distances need {MIN_IMAGES}; set it to 0"
            )
        return Evaluator(
            dataset,
            scene.training_poses(config.data, dataset.meta),
            load_extractor(device=next(self._run.state.generator.parameters()).device),
            images=config.train.measure_images,
            seed=SEED,
            psi=1.0,
            batch_size=BATCH,
            kept=lasting(config.paths.checkpoints) / "features",
        )

    @property
    def is_measured(self) -> bool:
        """True if a best model has been measured, in this run or before its interruption."""
        return (self._kept / SETTINGS).exists()

    def measure(self) -> dict[str, float]:
        """Measure the distance and keep the model if it is the smallest so far.

        The name tells the protocol: `distance/fid_effnetlite0_1000` is of 1,000 images on each side.
        """
        assert self._evaluator is not None, "train.measure_every is set"
        measurement = self._evaluator.measure(
            build.averaged(self._run.state), "first average", metrics=("fid",)
        )
        ((name, value),) = measurement.values.items()
        before = self._before(measurement)
        if before is None or value < before:
            save_model(self._run, self._record, self._kept, measured=measurement.as_dict())
            _copy(self._kept, self.published)
            say(f"train: {name} {value:.4g} at step {self._run.state.step}, the best so far")
        return {f"distance/{name}_{self._evaluator.count}": value}

    def finish(self, last: Path) -> None:
        """Publish `last` as the best model if none was ever measured."""
        if not (self.published / SETTINGS).exists():
            _copy(last, self.published)

    def _before(self, measurement: "Measurement") -> float | None:
        """Smallest distance so far under the same protocol; None without one."""
        if not self.is_measured:
            return None
        kept = build.described(self._kept, "measured")["made_from"]["measured"]
        return min(kept["values"].values()) if kept["protocol"] == measurement.protocol else None


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_folder(target, {file.name: file.read_bytes() for file in source.iterdir()})
