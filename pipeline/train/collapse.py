"""Collapse detection: ends runs that cannot recover.

Only reports of scheduled steps in metrics.jsonl count, so that the decision is the same after interruptions.
docs/watching.md lists the margins of healthy runs.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gram.analysis.health import PROBED, all_finite, diversity
from gram.data.reader import ImageDataset
from gram.training import checkpoint
from gram.training.state import TrainingState

Record = Mapping[str, float | None]
"""One line of metrics.jsonl; None is a number that was not finite."""

PATIENCE_REPORTS = 5
"""Minimum number of consecutive reports with a symptom; one number that is not finite suffices."""
PATIENCE_STEPS = 100
"""Minimum number of steps that these reports span."""
MIN_HITS = 0.1
"""Minimum share of rays that hit the level with the most hits."""
MIN_OPACITY = 1e-6
"""Minimum share of light that the surfaces absorb."""
REACHED_DIVERSITY = 0.25
"""Share of the real images' diversity that must have been reached before loss of diversity is checked."""
LOST_DIVERSITY = 0.1
"""Minimum share of the largest diversity so far, once it was reached."""
MIN_DIVERSITY = 0.05
"""Minimum share of the real images' diversity after GRACE_IMAGES, if it was not reached."""
GRACE_IMAGES = 100_000
DIVERGED_LOSS = 20.0
"""Discriminator loss above which training has diverged; chance level is ln 4 = 1.39."""
DIVERGED_GRADIENT = 1e5
"""Norm of the generator's gradient above which training has diverged."""
WON_LOSS = 0.01
"""Discriminator loss below which a warning is given: no fake is classified as real any more."""

_SLOW_DOWN = "lower train.lr_generator and train.lr_discriminator, or raise train.r1_weight"


class CollapseError(ValueError):
    """Training has collapsed; the message names the symptoms and remedies."""


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """Sign of a training that cannot recover, with problem and remedy as text."""

    problem: str
    remedy: str
    since: int  # step of the first report that shows it
    kind: str  # `not finite` (the run is lost), `collapse` (unlikely to recover) or `warning`
    new: bool = True  # not in the previous report


class CollapseDetector:
    """Rules on the sequence of a run's reports.

    Args:
        real_diversity: `gram.analysis.health.diversity` of real images.
        every: steps between scheduled reports; others are only checked for numbers that are not finite.
        history: earlier reports of the run.
    """

    def __init__(self, *, real_diversity: float, every: int, history: Iterable[Record] = ()) -> None:
        self._every = every
        self._real = real_diversity
        self._records: list[Record] = []
        self._best = 0.0
        for record in history:
            self.add(record)

    def add(self, record: Record) -> list[Symptom]:
        """Append a report and return the symptoms that now hold."""
        step = _step(record)
        broken = [name for name, value in record.items() if not _finite(name, value)]
        if broken:
            problem = f"{' and '.join(broken)}: not finite"
            return [Symptom(problem=problem, remedy=_SLOW_DOWN, since=step, kind="not finite")]
        if step % self._every:
            return []
        self._records.append(record)
        self._best = max(self._best, record.get("diversity") or 0.0)
        rules = (self._no_surfaces, self._no_diversity, self._diverged, self._won)
        return [symptom for rule in rules if (symptom := rule()) is not None]

    def _no_surfaces(self) -> Symptom | None:
        def bad(record: Record) -> bool:
            hits = [value or 0.0 for name, value in record.items() if name.startswith("hits/")]
            invisible = _number(record, "opacity", MIN_OPACITY) < MIN_OPACITY
            return bool(hits) and (max(hits) < MIN_HITS or invisible)

        problem = (
            f"the surfaces are gone: less than {MIN_HITS:.0%} of the rays hit any, or none absorbs light"
        )
        return self._lasting(bad, problem, "lower train.lr_manifold, or raise train.manifold_every")

    def _no_diversity(self) -> Symptom | None:
        reached = self._best >= REACHED_DIVERSITY * self._real
        least = LOST_DIVERSITY * self._best if reached else MIN_DIVERSITY * self._real

        def bad(record: Record) -> bool:
            early = not reached and (record.get("images") or 0.0) < GRACE_IMAGES
            return not early and _number(record, "diversity", least) < least

        now = _number(self._records[-1], "diversity", least)
        problem = (
            f"images of different latents are the same: their diversity is {now:.2g}, where it has been "
            f"{self._best:.2g} and that of real images is {self._real:.2g}"
        )
        return self._lasting(bad, problem, _SLOW_DOWN)

    def _diverged(self) -> Symptom | None:
        def bad(record: Record) -> bool:
            loss = _number(record, "loss/discriminator", 0.0)
            return loss > DIVERGED_LOSS or _number(record, "gradient/generator", 0.0) > DIVERGED_GRADIENT

        loss = _number(self._records[-1], "loss/discriminator", 0.0)
        gradient = _number(self._records[-1], "gradient/generator", 0.0)
        problem = (
            f"training has diverged: the discriminator's loss is {loss:.2g}, where chance level is 1.39, "
            f"and the norm of the generator's gradient {gradient:.2g}"
        )
        return self._lasting(bad, problem, _SLOW_DOWN)

    def _won(self) -> Symptom | None:
        loss = _number(self._records[-1], "loss/discriminator", 1.0)
        problem = f"the discriminator's loss is {loss:.2g}: no generated image deceives it any more"
        remedy = "raise train.r1_weight, or lower train.lr_discriminator"
        return self._lasting(
            lambda r: _number(r, "loss/discriminator", 1.0) < WON_LOSS, problem, remedy, kind="warning"
        )

    def _lasting(
        self, bad: Callable[[Record], bool], problem: str, remedy: str, kind: str = "collapse"
    ) -> Symptom | None:
        """Symptom if the newest reports have been bad for long enough."""
        newest_first = itertools.takewhile(bad, reversed(self._records))
        streak = list(newest_first)[::-1]
        if not _long(streak):
            return None
        since = _step(streak[0])
        return Symptom(
            problem=f"{problem} (since step {since})", remedy=remedy, since=since, kind=kind,
            new=not _long(streak[:-1]),
        )  # fmt: skip


def real_diversity(dataset: ImageDataset) -> float:
    """`diversity` of real images: mean over groups of the probe's size, spread over the data."""
    count = min(PROBED * PROBED, len(dataset))
    spread = torch.linspace(0, len(dataset) - 1, count).long().tolist()
    images = dataset.load_images(spread).float() / 127.5 - 1.0
    groups = max(count // PROBED, 1)
    return sum(float(diversity(images[first::groups])) for first in range(groups)) / groups


def nonfinite_error(state: TrainingState, folder: Path) -> CollapseError | None:
    """Error that ends a run whose weights, averages or moments are not finite; None if all are."""
    if all_finite(state.tensors().values()):
        return None
    problem = "weights, their averages or Adam's moments are not finite"
    broken = Symptom(problem=problem, remedy=_SLOW_DOWN, since=state.step, kind="not finite")
    return collapse_error([broken], state.step, folder)


def collapse_error(symptoms: Sequence[Symptom], step: int, folder: Path) -> CollapseError:
    """Error that ends a run, naming the newest checkpoint in `folder` from before the first symptom."""
    since = min(symptom.since for symptom in symptoms)
    good = [kept for kept in checkpoint.steps(folder) if kept < since]
    left = f"The checkpoint of step {good[-1]} in {folder}" if good else "No checkpoint"
    remedies = list(dict.fromkeys(symptom.remedy for symptom in symptoms))
    if all(symptom.kind == "collapse" for symptom in symptoms):
        remedies.append("go on all the same with train.stop_on_collapse=false")
    problems = "; ".join(symptom.problem for symptom in symptoms)
    return CollapseError(
        f"stopped at step {step}: {problems}. {left} is from before that. Try to {', or '.join(remedies)}"
    )


def _long(streak: Sequence[Record]) -> bool:
    return len(streak) >= PATIENCE_REPORTS and _step(streak[-1]) - _step(streak[0]) >= PATIENCE_STEPS


def _finite(name: str, value: float | None) -> bool:
    """True if a metric is finite; norms of gradients and R1 may overflow in half precision (step skipped)."""
    if name == "nonfinite":
        return value == 0.0
    if name.startswith(("loss/", "logits/", "pose/", "diversity", "opacity")):
        return value is not None and math.isfinite(value)
    return True


def _step(record: Record) -> int:
    return int(_number(record, "step", 0.0))


def _number(record: Record, name: str, absent: float) -> float:
    value = record.get(name)
    return absent if value is None else value
