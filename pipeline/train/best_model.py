"""Distances to real pictures while training goes on, and the model that came closest.

The first average is measured as `pipeline.evaluate` measures it with the same number of pictures. The best
model lies beside the checkpoints, where a resumed run finds it again, and is published as it appears.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from gram.model.folder import SETTINGS
from gram.system.folders import remove_folder, write_folder
from pipeline.cli.console import say
from pipeline.config.places import lasting
from pipeline.runtime import build, scene
from pipeline.train.run import Record, Run

if TYPE_CHECKING:
    from gram.analysis.distances import Evaluator
    from gram.metrics import Measurement

FOLDER = "best"
SEED = 0
"""Of the choice of real pictures, of latents and poses: that of the presets of evaluate."""
BATCH = 50
FEWEST = 2
"""Pictures on each side of a distance."""


class Best:
    """Measures the averaged generator of a run and keeps the best.

    Args:
        run: whose generator is measured.
        record: where it is kept.

    Raises:
        ValueError: distances are asked for, and what they need is not installed.
    """

    def __init__(self, run: Run, record: Record) -> None:
        self._config, self._state, self._dataset = run.config, run.state, run.dataset
        self._origin, folder, config = record.origin, record.folder, run.config
        self._kept, self.published = folder / FOLDER, Path(config.paths.train) / FOLDER
        remove_folder(self.published)
        if self.is_measured:
            _copy(self._kept, self.published)
        self._evaluator = self._make_evaluator() if config.train.measure_every else None

    def _make_evaluator(self) -> "Evaluator":
        config, every = self._config, self._config.train.measure_every
        try:  # heavy, and only needed where distances are asked for
            from gram.analysis.distances import Evaluator
            from gram.metrics import load_extractor
        except ImportError as error:
            raise ValueError(
                f"train.measure_every = {every} needs packages that are missing ({error}): "
                "install them, or measure with pipeline.evaluate elsewhere and set it to 0"
            ) from error
        if len(self._dataset) < FEWEST:
            raise ValueError(
                f"train.measure_every = {every}, but there is {len(self._dataset)} picture to compare with: "
                f"distances need {FEWEST}; set it to 0"
            )
        return Evaluator(
            self._dataset,
            scene.training_poses(config.data, self._dataset.meta),
            load_extractor(device=next(self._state.generator.parameters()).device),
            images=config.train.measure_images,
            seed=SEED,
            psi=1.0,
            batch_size=BATCH,
            kept=lasting(config.paths.checkpoints) / "features",
        )

    @property
    def is_measured(self) -> bool:
        """Whether there is a model that was the best when it was measured."""
        return (self._kept / SETTINGS).exists()

    def measure(self) -> dict[str, float]:
        """The distance now, named after its protocol (`distance/fid_effnetlite0_1000`: 1,000 pictures on each
        side); the model is kept if it is the smallest so far.
        """
        assert self._evaluator is not None, "measuring is asked for"
        measurement = self._evaluator.measure(build.averaged(self._state), "first average", metrics=("fid",))
        ((name, value),) = measurement.values.items()
        before = self._before(measurement)
        if before is None or value < before:
            self._keep(measurement)
            say(f"train: {name} {value:.4g} at step {self._state.step}, the best so far")
        return {f"distance/{name}_{self._evaluator.count}": value}

    def finish(self, last: Path) -> None:
        """See to it that there is a best model: where none was ever measured, the last one."""
        if not (self.published / SETTINGS).exists():
            _copy(last, self.published)

    def _before(self, measurement: "Measurement") -> float | None:
        """The smallest distance so far, if it was measured in the same way."""
        if not self.is_measured:
            return None
        kept = build.described(self._kept, "measured")["made_from"]["measured"]
        return min(kept["values"].values()) if kept["protocol"] == measurement.protocol else None

    def _keep(self, measurement: "Measurement") -> None:
        steps = self._state.step
        images = steps * self._config.train.batch_size
        made_from = {**self._origin, "images": images, "steps": steps, "measured": measurement.as_dict()}
        settings = build.model_settings(self._config, self._dataset.meta)
        build.save_model(self._kept, self._state, settings, made_from)
        _copy(self._kept, self.published)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    write_folder(target, {file.name: file.read_bytes() for file in source.iterdir()})
