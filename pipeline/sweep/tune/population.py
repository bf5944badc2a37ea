"""Trials that go on from others, in population based training: checkpoints handed over, records kept."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.config.schema import Config
from pipeline.tracking.fingerprint import fingerprint

START_FROM = "train.start_from"
GIVEN = "given"
TAKEN = "taken"
FILE = "trial.json"
WAIT_SECONDS = 60.0
"""Seconds to wait for the checkpoint of a reported step."""


def give(folder: Path, target: Path, *, step: int, name: str) -> None:
    """Copy the newest checkpoint of a trial, of `step` where training writes one then.

    Args:
        folder: of the trial.
        target: folder that Tune hands to another trial.
        step: of the last report.
        name: of the trial.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while (newest := _newest(folder)) is None or int(newest.name.removeprefix("step-")) < step:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    content: dict[str, Any] = {"trial": name, "step": step}
    if newest is not None:
        content["checkpoint"] = f"{GIVEN}/{newest.name}"
        shutil.copytree(newest, target / content["checkpoint"])
    (target / FILE).write_text(json.dumps(content), encoding="utf-8")


def give_nothing(target: Path, *, name: str) -> None:
    """Write no checkpoint, for a trial that no other one goes on from."""
    (target / FILE).write_text(json.dumps({"trial": name}), encoding="utf-8")


def take(source: Path, folder: Path, *, name: str) -> Path | None:
    """Take over what `give` wrote; returns the checkpoint to start from, None if it is the trial's own."""
    content = json.loads((source / FILE).read_text(encoding="utf-8"))
    if content["trial"] == name or "checkpoint" not in content:
        return None
    checkpoint = source / content["checkpoint"]
    target = folder / TAKEN / f"{content['trial']}-{checkpoint.name}"
    if not target.exists():
        aside = target.with_name(f".{target.name}")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(checkpoint, aside)
        aside.replace(target)
    return target


def carry_over(folder: Path, params: Any, *, data_hash: str) -> None:
    """Have a trial that starts from another one's checkpoint keep its own curves, samples and run.

    Args:
        folder: of the trial.
        params: its configuration, with the new start.
        data_hash: of the images that it trains on.
    """
    plain = OmegaConf.to_container(params)
    assert isinstance(plain, dict)
    known = {key: value for key, value in plain.items() if key != "preset"}
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), known))
    assert isinstance(config, Config)
    target = folder / "checkpoints" / fingerprint(config, data_hash=data_hash)
    before = _active(folder)
    if target.exists() or before is None:
        return
    aside = target.with_name(f".{target.name}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(before, aside, ignore=shutil.ignore_patterns("step-*", "lock", ".*"))
    aside.replace(target)


def _active(folder: Path) -> Path | None:
    """The folder of checkpoints that was written to last."""
    records = sorted(folder.glob("checkpoints/*-*/metrics.jsonl"), key=lambda file: file.stat().st_mtime)
    return records[-1].parent if records else None


def _newest(folder: Path) -> Path | None:
    active = _active(folder)
    return None if active is None else max(active.glob("step-*"), default=None, key=lambda path: path.name)
