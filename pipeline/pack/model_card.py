"""Model card, README.md of a packed model: origin, metrics, and reproduction."""

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
    """Text of the card, in Markdown.

    `measured` has the distances to real images under `trained`, and baselines; `likeness` is the minimum PSNR
    in dB between images before and after rounding.
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

Weights are in half precision; images have a PSNR of at least {likeness:.0f} dB to those before rounding.
The upper image is rendered as measured, the lower one with psi = {SHOWN_PSI}.

## Measured
{_table(measured)}

{_protocol(measured["trained"])}

## Again
    python -m pipeline.prepare --params {named}/params.yaml
    python -m pipeline.train --params {named}/params.yaml
"""


def as_text(value: str) -> str:
    """Escape text for one line of a Markdown table."""
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
    """Summary of the protocol; metrics.json has all of it."""
    p = trained.protocol
    return (
        f"{p['num_fakes']:,} images against {p['num_reals']:,} of the {p['reals']}, features of "
        f"{p['extractor']}, psi = {p['psi']}, poses {p['poses']}; metrics.json has the complete protocol. "
        "Numbers with their extractor's name are not comparable with published FID and KID."
    )
