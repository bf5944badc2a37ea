"""Checks that the results in a report or summary belong to one model, its data and its training."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gram.system import documents
from pipeline.config.schema import Config
from pipeline.report.facts import meta_of
from pipeline.tracking import identity, runlog
from pipeline.tracking.fingerprint import fingerprint
from pipeline.tracking.identity import Doubt

PROTOCOL, MESHES = "protocol.json", "meshes.json"
DIGEST = re.compile(r'<meta name="generator-digest" content="([0-9a-f]{64})">')
HEAD = 4096
"""Number of characters at the start of a page that contain its digest."""
CERTAIN = Doubt()


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Doubts that results belong to the model; CERTAIN for results that do, or are missing."""

    digest: str = ""  # of the model's generator; empty if unknown
    evaluated: Doubt = CERTAIN
    measured: Doubt = CERTAIN  # images that the evaluation compared with
    exported: Doubt = CERTAIN
    trained: Doubt = CERTAIN  # learning curves
    configured: Doubt = CERTAIN
    reported: Doubt = CERTAIN


def sources_of(config: Config, described: Mapping[str, Any]) -> Sources:
    """Compare the results in a configuration's folders with its model, of the settings `described`.

    Raises:
        ValueError: there is no model.
        OSError: a file is unreadable.
    """
    digest = identity.generator_digest(config.paths.model)
    protocol = read_json(Path(config.paths.evaluate) / PROTOCOL)
    made_of = protocol.get(identity.KEY)
    exported = read_json(Path(config.paths.export) / MESHES, dict[str, dict[str, Any]]).values()
    evaluated = identity.doubt([made_of], digest) if protocol else CERTAIN
    exports = identity.doubt([facts.get(identity.KEY) for facts in exported], digest)
    return Sources(
        digest=digest,
        evaluated=_with_remedy(evaluated, "evaluate", config),
        measured=_other_images(made_of, described),
        exported=_with_remedy(exports, "export", config),
        trained=_other_training(Path(config.paths.train), described),
        configured=_other_configuration(config, described),
        reported=_with_remedy(_other_page(Path(config.paths.report), digest), "report", config),
    )


def data_of(folder: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    """Content of a data set's meta.json; empty if the model was trained on other data."""
    meta = meta_of(folder)
    return meta if meta.get("content_hash") == described["made_from"]["data_hash"] else {}


def read_json(path: Path, kind: Any = dict[str, Any]) -> dict[str, Any]:
    """Content of a JSON file of this kind; empty without one."""
    remedy = "run the stage that writes it again"
    return documents.read(path, kind, remedy=remedy) if path.is_file() else {}


def _with_remedy(doubt: Doubt, stage: str, config: Config) -> Doubt:
    return replace(doubt, words=f"{doubt}: run {identity.command(stage, config)}") if doubt else doubt


def _other_images(made_of: Mapping[str, Any] | None, described: Mapping[str, Any]) -> Doubt:
    trained = described["made_from"].get("data_hash")
    compared = (made_of or {}).get("data")
    if trained is None or compared is None or trained == compared:
        return CERTAIN
    digests = f"{identity.short(compared)}, not {identity.short(trained)}"
    return Doubt(f"compared with other images than it was trained on: {digests}")


def _other_training(folder: Path, described: Mapping[str, Any]) -> Doubt:
    model, recorded = described["made_from"]["fingerprint"], runlog.read_origin(folder).get("fingerprint")
    if not (folder / runlog.METRICS).is_file() or recorded == model:
        return CERTAIN
    if recorded is None:
        return Doubt("of a training that is not recorded")
    remedy = "run python -m pipeline.train with its options"
    return Doubt(f"of another model: {recorded}, not {model}; {remedy}", is_another=True)


def _other_page(report: Path, digest: str) -> Doubt:
    if not report.is_file():
        return CERTAIN
    with report.open(encoding="utf-8", errors="replace") as file:
        stored = DIGEST.search(file.read(HEAD))
    return identity.doubt([{"generator": stored[1]} if stored else None], digest)


def _other_configuration(config: Config, described: Mapping[str, Any]) -> Doubt:
    made = described["made_from"]
    now, _, program = fingerprint(config, data_hash=made["data_hash"]).partition("-")
    trained, _, trained_program = made["fingerprint"].partition("-")
    if now == trained and program == trained_program:
        return CERTAIN
    if now == trained:
        programs = f"{program}, not {trained_program}"
        return Doubt(f"with another version of the program than trained the model: {programs}")
    remedy = "give the experiment and options of its training"
    return Doubt(f"of another model: {now}, not {trained}; {remedy}", is_another=True)
