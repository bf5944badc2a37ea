"""Of which model, pictures and training the results are that a report or a summary puts together."""

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
"""Characters of a page that hold its digest, if it has one."""


CERTAIN = Doubt()


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Doubts about each part, whether it is of the model; none where it is, or is not there.

    Attributes:
        digest: of the model's generator; empty where nobody asked.
        evaluated: about the evaluation.
        measured: about the pictures that the evaluation compared with.
        exported: about the exports.
        trained: about the learning curves.
        configured: about the configuration.
        reported: about the page itself.
    """

    digest: str = ""
    evaluated: Doubt = CERTAIN
    measured: Doubt = CERTAIN
    exported: Doubt = CERTAIN
    trained: Doubt = CERTAIN
    configured: Doubt = CERTAIN
    reported: Doubt = CERTAIN


def sources_of(config: Config, described: Mapping[str, Any]) -> Sources:
    """What can be told of results in the folders of a configuration.

    Args:
        config: names the model and the folders.
        described: the settings in the model's folder.

    Raises:
        ValueError: there is no model.
        OSError: a file cannot be read.
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
        measured=_other_pictures(made_of, described),
        exported=_with_remedy(exports, "export", config),
        trained=_other_training(Path(config.paths.train), described),
        configured=_other_configuration(config, described),
        reported=_with_remedy(_other_page(Path(config.paths.report), digest), "report", config),
    )


def data_of(folder: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    """What meta.json says of the pictures in a folder; empty where the model learned from others."""
    meta = meta_of(folder)
    return meta if meta.get("content_hash") == described["made_from"]["data_hash"] else {}


def read_json(path: Path, kind: Any = dict[str, Any]) -> dict[str, Any]:
    """What a JSON file of this kind holds, empty where there is none."""
    remedy = "run the stage that writes it again"
    return documents.read(path, kind, remedy=remedy) if path.is_file() else {}


def _with_remedy(doubt: Doubt, stage: str, config: Config) -> Doubt:
    return replace(doubt, words=f"{doubt}: run {identity.command(stage, config)}") if doubt else doubt


def _other_pictures(made_of: Mapping[str, Any] | None, described: Mapping[str, Any]) -> Doubt:
    learned = described["made_from"].get("data_hash")
    compared = (made_of or {}).get("data")
    if learned is None or compared is None or learned == compared:
        return CERTAIN
    digests = f"{identity.short(compared)}, not {identity.short(learned)}"
    return Doubt(f"compared with other pictures than it was trained on: {digests}")


def _other_training(folder: Path, described: Mapping[str, Any]) -> Doubt:
    own, found = described["made_from"]["fingerprint"], runlog.read_origin(folder).get("fingerprint")
    if not (folder / runlog.METRICS).is_file() or found == own:
        return CERTAIN
    if found is None:
        return Doubt("of a training that is not recorded")
    remedy = "python -m pipeline.train with its options gives its own"
    return Doubt(f"of another model: {found}, not {own}; {remedy}", is_another=True)


def _other_page(report: Path, digest: str) -> Doubt:
    if not report.is_file():
        return CERTAIN
    with report.open(encoding="utf-8", errors="replace") as file:
        told = DIGEST.search(file.read(HEAD))
    return identity.doubt([{"generator": told[1]} if told else None], digest)


def _other_configuration(config: Config, described: Mapping[str, Any]) -> Doubt:
    made = described["made_from"]
    asked, _, program = fingerprint(config, data_hash=made["data_hash"]).partition("-")
    trained, _, then = made["fingerprint"].partition("-")
    if asked == trained and program == then:
        return CERTAIN
    if asked == trained:
        told = f"with another version of the program than trained the model: {program}, not {then}"
        return Doubt(told)
    remedy = "give the experiment and options of its training"
    return Doubt(f"of another model: {asked}, not {trained}; {remedy}", is_another=True)
