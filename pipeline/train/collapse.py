"""Whether a run is still worth its electricity: what is wrong with its reports, in words, and when to stop.

Reports are judged from metrics.jsonl alone, those of scheduled steps only, so that a run that was interrupted
is judged as one that never stopped. docs/watching.md says how far healthy runs stay away from each limit.
"""

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
PATIENCE_STEPS = 100
"""All but a number that is not finite has to show in so many reports in a row, over so many steps."""
MIN_HITS = 0.1
"""Share of the rays that meet the level that is met most."""
MIN_OPACITY = 1e-6
"""Share of the light that the surfaces stop."""
ARRIVED = 0.25
"""Share of the diversity of real pictures that has to be reached before it can be lost."""
LOST = 0.1
"""Share of the largest diversity so far below which it is lost."""
NEVER_CAME = 0.05
GRACE_IMAGES = 100_000
"""The least share of the diversity of real pictures after so many images."""
DIVERGED_LOSS = 20.0
"""Loss of a discriminator whose logits have run away; that of one that knows nothing is ln 4 = 1.39."""
DIVERGED_GRADIENT = 1e5
"""Norm of the gradient of a generator whose radiance field has run away."""
WON = 0.01
"""Loss of a discriminator that no fake deceives any more."""

_CALMER = "lower train.lr_generator and train.lr_discriminator, or raise train.r1_weight"


class CollapseError(ValueError):
    """A run that learns nothing any more; the message says what was seen and what to try."""


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """Sign of a training that cannot recover.

    Attributes:
        problem: what was seen.
        remedy: what to try.
        since: the step of the first report that shows it.
        kind: `not finite` (nothing can save the run), `collapse` (nothing good is to be expected) or
            `warning`.
        new: whether the report before did not say so yet.
    """

    problem: str
    remedy: str
    since: int
    kind: str
    new: bool = True


class Watch:
    """Judges the reports of a run, one after the other.

    Args:
        real_diversity: `gram.analysis.health.diversity` of real pictures.
        every: steps between scheduled reports; others are passed over, but for numbers that are not finite.
        history: the reports that there are already.
    """

    def __init__(self, *, real_diversity: float, every: int, history: Iterable[Record] = ()) -> None:
        self._every = every
        self._real = real_diversity
        self._records: list[Record] = []
        self._best = 0.0
        for record in history:
            self.see(record)

    def see(self, record: Record) -> list[Symptom]:
        """What is wrong after one more report."""
        step = _step(record)
        broken = [name for name, value in record.items() if not _finite(name, value)]
        if broken:
            problem = f"{' and '.join(broken)}: not finite"
            return [Symptom(problem=problem, remedy=_CALMER, since=step, kind="not finite")]
        if step % self._every:
            return []
        self._records.append(record)
        self._best = max(self._best, record.get("diversity") or 0.0)
        rules = (self._no_surfaces, self._no_diversity, self._diverged, self._won)
        return [finding for rule in rules if (finding := rule()) is not None]

    def _no_surfaces(self) -> Symptom | None:
        def bad(record: Record) -> bool:
            hits = [value or 0.0 for name, value in record.items() if name.startswith("hits/")]
            invisible = _number(record, "opacity", MIN_OPACITY) < MIN_OPACITY
            return bool(hits) and (max(hits) < MIN_HITS or invisible)

        problem = f"the surfaces are gone: less than {MIN_HITS:.0%} of the rays meet any, or none stops light"
        return self._lasting(bad, problem, "lower train.lr_manifold, or raise train.manifold_every")

    def _no_diversity(self) -> Symptom | None:
        arrived = self._best >= ARRIVED * self._real
        least = LOST * self._best if arrived else NEVER_CAME * self._real

        def bad(record: Record) -> bool:
            early = not arrived and (record.get("images") or 0.0) < GRACE_IMAGES
            return not early and _number(record, "diversity", least) < least

        now = _number(self._records[-1], "diversity", least)
        problem = (
            f"pictures of different latents are the same: their diversity is {now:.2g}, where it has been "
            f"{self._best:.2g} and that of real pictures is {self._real:.2g}"
        )
        return self._lasting(bad, problem, _CALMER)

    def _diverged(self) -> Symptom | None:
        def bad(record: Record) -> bool:
            loss = _number(record, "loss/discriminator", 0.0)
            return loss > DIVERGED_LOSS or _number(record, "gradient/generator", 0.0) > DIVERGED_GRADIENT

        loss = _number(self._records[-1], "loss/discriminator", 0.0)
        gradient = _number(self._records[-1], "gradient/generator", 0.0)
        problem = (
            f"training has diverged: the discriminator's loss is {loss:.2g}, where knowing nothing is 1.39, "
            f"and the norm of the generator's gradient {gradient:.2g}"
        )
        return self._lasting(bad, problem, _CALMER)

    def _won(self) -> Symptom | None:
        loss = _number(self._records[-1], "loss/discriminator", 1.0)
        problem = f"the discriminator's loss is {loss:.2g}: no generated picture deceives it any more"
        remedy = "raise train.r1_weight, or lower train.lr_discriminator"
        return self._lasting(
            lambda r: _number(r, "loss/discriminator", 1.0) < WON, problem, remedy, kind="warning"
        )

    def _lasting(
        self, bad: Callable[[Record], bool], problem: str, remedy: str, kind: str = "collapse"
    ) -> Symptom | None:
        """A finding where the newest reports have been bad for long enough."""
        streak = _streak(self._records, bad)
        if not _long(streak):
            return None
        since = _step(streak[0])
        return Symptom(
            problem=f"{problem} (since step {since})", remedy=remedy, since=since, kind=kind,
            new=not _long(streak[:-1]),
        )  # fmt: skip


def real_diversity(dataset: ImageDataset) -> float:
    """`diversity` of real pictures, as of a probe: the mean over groups of as many, spread over the data."""
    count = min(PROBED * PROBED, len(dataset))
    spread = torch.linspace(0, len(dataset) - 1, count).long().tolist()
    images = dataset.load_images(spread).float() / 127.5 - 1.0
    groups = max(count // PROBED, 1)
    return sum(float(diversity(images[first::groups])) for first in range(groups)) / groups


def not_finite(state: TrainingState, folder: Path) -> CollapseError | None:
    """The error that ends a run whose weights, averages or moments are not finite: it has nothing to keep."""
    if all_finite(state.tensors().values()):
        return None
    problem = "weights, their averages or Adam's moments are not finite"
    broken = Symptom(problem=problem, remedy=_CALMER, since=state.step, kind="not finite")
    return collapse([broken], state.step, folder)


def collapse(findings: Sequence[Symptom], step: int, folder: Path) -> CollapseError:
    """The error that ends a run, with the newest checkpoint in `folder` from before the trouble."""
    since = min(finding.since for finding in findings)
    good = [kept for kept in checkpoint.steps(folder) if kept < since]
    left = f"The checkpoint of step {good[-1]} in {folder}" if good else "No checkpoint"
    remedies = list(dict.fromkeys(finding.remedy for finding in findings))
    if all(finding.kind == "collapse" for finding in findings):
        remedies.append("go on all the same with train.stop_on_collapse=false")
    problems = "; ".join(finding.problem for finding in findings)
    return CollapseError(
        f"stopped at step {step}: {problems}. {left} is from before that. Try to {', or '.join(remedies)}"
    )


def _streak(records: Sequence[Record], bad: Callable[[Record], bool]) -> list[Record]:
    """The newest records that are bad without a gap, in order."""
    streak: list[Record] = []
    for record in reversed(records):
        if not bad(record):
            break
        streak.append(record)
    return streak[::-1]


def _long(streak: Sequence[Record]) -> bool:
    return len(streak) >= PATIENCE_REPORTS and _step(streak[-1]) - _step(streak[0]) >= PATIENCE_STEPS


def _finite(name: str, value: float | None) -> bool:
    """Norms of gradients and R1 may overflow in half precision: that step is skipped, and nothing is lost."""
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
