"""README.md of a model that is given away: what it is, how good it is, and how to make it again."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from gram.metrics import Measurement
from pipeline.config.pinned import without_folders
from pipeline.evaluate.part import EvaluatedModel
from pipeline.evaluate.samples import SHOWN_PSI
from pipeline.report.facts import facts
from pipeline.report.sources import data_of

NAMES = {"trained": "this model", "at_initialisation": "untrained", "real_against_real": "real against real"}


def model_card(
    folder: Path, subject: EvaluatedModel, measured: Mapping[str, Measurement], *, note: str, likeness: float
) -> str:
    """The text, in Markdown.

    Args:
        folder: where it will lie.
        subject: the model as it is given away, and its data.
        measured: its distances to real pictures under the name `trained`, and others beside them.
        note: a line of whoever gives it away; empty for none.
        likeness: decibels between its pictures and those before its weights were rounded.
    """
    known = facts(subject.described, data_of(Path(subject.config.paths.train_data), subject.described))
    for name, here in (("program", "packed with"), ("report made on", "packed on")):
        known[here] = known.pop(name, "unknown")
    known |= {"note": note} if note else {}
    rows = "\n".join(f"| {name} | {as_text(value)} |" for name, value in known.items())
    named = shlex.quote(without_folders(str(folder)) or "")
    return f"""# {as_text(folder.name)}

![Different latents](samples.png)
![Some of them turned, with depth and normals](sweep.png)

    python -m pipeline.export model={named}      # meshes, videos, a page with a 3D viewer

| | |
|---|---|
{rows}

Weights are in half precision; their pictures are {likeness:.0f} dB from those before rounding, at the least.
The upper picture is drawn as measured, the lower one with psi = {SHOWN_PSI}.

## Measured
{_table(measured)}

{_protocol(measured["trained"])}

## Again
    python -m pipeline.prepare --params {named}/params.yaml
    python -m pipeline.train --params {named}/params.yaml
"""


def as_text(value: str) -> str:
    """Words that Markdown shows as they are, in one line of a table."""
    escaped = re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", " ".join(value.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _table(measured: Mapping[str, Measurement]) -> str:
    names = list(measured["trained"].values)
    lines = ["| | " + " | ".join(f"`{name}`" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for what, measurement in measured.items():
        cells = [f"{measurement.values[name]:.4g}" if name in measurement.values else "" for name in names]
        lines.append(f"| {NAMES[what]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _protocol(trained: Measurement) -> str:
    """The measurement in words; metrics.json has all of it."""
    told = trained.protocol
    return (
        f"{told['num_fakes']:,} pictures against {told['num_reals']:,} of the {told['reals']}, features of "
        f"{told['extractor']}, psi = {told['psi']}, poses {told['poses']}; the whole protocol stands in "
        "metrics.json. Numbers with their extractor's name are not comparable with published FID and KID."
    )
