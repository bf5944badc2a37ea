"""A trial of Ray Tune: it starts the training of its folder, passes its reports on, and ends with it."""

import json
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from ray import tune

from gram.system import locks
from gram.system.folders import write_file
from pipeline.cli.exit_codes import EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.cli.stage import FORCE
from pipeline.config.arguments import assignment
from pipeline.config.options import leaves
from pipeline.sweep.trials import STOP, TRIALS
from pipeline.sweep.tune import population
from pipeline.sweep.tune.population import START_FROM
from pipeline.sweep.tune.private import Private
from pipeline.sweep.tune.process import Reports, Training, reason, wait_for

PARAMS = "params.yaml"
LOG = "train.log"
FAILURES = "failures.jsonl"
BUSY = "is in use by process"
"""Words of training while one before it, on a machine that was lost, still holds its checkpoints."""
BUSY_SECONDS = 120
LOST_MACHINES = 10
"""Times that a trial is started again because its machine is gone, beside its retries."""


class TrialError(RuntimeError):
    """A training that ended as it should not have; Tune starts the trial again."""


class TrainingTrial(tune.Trainable):
    """One training run, started as `dvc repro` starts it.

    Its configuration, which Tune writes into files: `folder` of the sweep, `params` (JSON: configuration of a
    trial, without paths and tracking), `values` (option -> value, of those that differ), `objective` (prefix
    or name of the metric), `retries`, `population` (whether trials go on from others), `data` (key of its
    data set), `data_hash` (of the images), `force` (whether training begins although there seems no room).
    """

    def setup(self, config: dict[str, Any], private: Private | None = None) -> None:
        """Take over the configuration; nothing is started yet.

        Args:
            config: see the class.
            private: options that no file holds.
        """
        assert private is not None, "Tune calls it with all that the driver has given"
        self._private = private.of(str(self.trial_name), config["data"])
        self._sweep = Path(config["folder"])
        self._folder = self._sweep / TRIALS / str(self.trial_name)
        self._objective, self._retries = config["objective"], config["retries"]
        self._values = dict(config["values"])
        self._training: Training | None = None
        self._lock: AbstractContextManager[None] | None = None
        self._reports = Reports(self._folder / "train/metrics.jsonl")
        self._waiting: list[dict[str, Any]] = []
        self._step = 0
        self._busy_since: float | None = None

    def step(self) -> dict[str, Any]:
        """Wait for reports, or the end of training."""
        while True:
            if (self._sweep / STOP).exists():
                return self._interrupted()
            if self._training is None:
                self._training = self._start()
            self._waiting += wait_for(1.0 if not self._waiting else 0.0, self._training, self._reports)
            if self._waiting:
                return self._reported(self._next())
            if (code := self._training.exit_code) is not None:
                if code == 0:
                    return self._result(done=True, ended="finished")
                self._training = None
                if (ended := self._failed(code)) is not None:
                    return ended

    def cleanup(self) -> None:
        """Have training write a checkpoint and end."""
        if self._training is not None:
            self._training.stop()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the checkpoint of the last report in a population, where other trials may go on from it."""
        trains = self._training is not None and self._training.exit_code is None
        if self.config["population"] and trains:
            population.give(self._folder, Path(checkpoint_dir), step=self._step, name=str(self.trial_name))
        else:
            population.give_nothing(Path(checkpoint_dir), name=str(self.trial_name))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from another trial's checkpoint; what is this trial's own lies in its folder already."""
        taken = population.take(Path(checkpoint), self._folder, name=str(self.trial_name))
        if taken is not None:
            self._values[START_FROM] = str(taken)

    def _start(self) -> Training:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._hold()
        places = {name: str(self._folder / name) for name in ("checkpoints", "train")}
        private = {**self._private, "paths": {**self._private["paths"], **places}}
        tree: Any = OmegaConf.create(json.loads(self.config["params"]) | private)
        for name, value in self._values.items():
            if name in ("seed",) or "." in name:
                OmegaConf.update(tree, name, value)
        self._share_features()
        if START_FROM in self._values:
            self._reports.skip(int(self._values[START_FROM].rpartition("-")[2]))
            population.carry_over(self._folder, tree, data_hash=self.config["data_hash"])
        for section in private:
            tree.pop(section)
        write_file(self._folder / PARAMS, OmegaConf.to_yaml(tree).encode())
        arguments = [f"--{FORCE.name}"] * self.config["force"]
        arguments += [assignment(name, value) for name, value in leaves(private)]
        return Training(self._folder / PARAMS, self._folder / LOG, arguments)

    def _hold(self) -> None:
        """Wait for the process that ran this trial before, which may still be writing its checkpoint.

        Raises:
            TrialError: it does not end.
        """
        if self._lock is not None:
            return
        place, task = self._folder / "lock", "trial of a sweep"
        lock = locks.held(place, what=self._folder, task=task, patience=BUSY_SECONDS)
        try:
            lock.__enter__()
        except locks.BusyError as error:
            raise TrialError(f"{error}, after {BUSY_SECONDS} s") from None
        self._lock = lock

    def _share_features(self) -> None:
        """Link the folder of features of the real images, which all trials share."""
        (self._sweep / "features").mkdir(exist_ok=True)
        own = self._folder / "checkpoints/features"
        own.parent.mkdir(exist_ok=True)
        if not own.is_symlink() and not own.exists():
            own.symlink_to(Path("../../..") / "features")

    def _next(self) -> list[dict[str, Any]]:
        """Waiting reports up to the first that a scheduler judges, all where it judges the newest alone."""
        judged = (i for i, record in enumerate(self._waiting) if self._value(record) is not None)
        count = len(self._waiting) if self.config["population"] else next(judged, len(self._waiting)) + 1
        records, self._waiting = self._waiting[:count], self._waiting[count:]
        return records

    def _reported(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        self._step = int(records[-1]["step"]) if records else self._step
        measured = [value for record in records if (value := self._value(record)) is not None]
        found = {"best": min(measured)} if measured else {}
        if measured and self._step < json.loads(self.config["params"])["train"]["steps"]:
            found["objective"] = measured[
                -1
            ]  # of the last step, no scheduler may judge: the model is being written
        return self._result(records=json.dumps(records), **found)

    def _value(self, record: dict[str, Any]) -> float | None:
        named = self._objective
        matching = (
            v for k, v in record.items() if (k.startswith(named) if named.endswith("/") else k == named)
        )
        return next(matching, None)

    def _result(self, **more: Any) -> dict[str, Any]:
        facts = {"values": json.dumps(self._values), **self._facts()}
        return {"step": self._step, "done": False, **more, **facts}

    def _facts(self) -> dict[str, Any]:
        """Protocol of the best model, and the run, as training wrote them."""
        facts: dict[str, Any] = {"config": None}
        if (best := self._folder / "train/best/model.json").exists():
            facts["protocol"] = json.dumps(
                json.loads(best.read_text(encoding="utf-8"))["made_from"].get("measured", {}).get("protocol")
            )
        for state in sorted(
            self._folder.glob("checkpoints/*/tracking.json"), key=lambda file: file.stat().st_mtime
        ):
            facts["run"] = json.loads(state.read_text(encoding="utf-8"))["run_id"]
        return facts

    def _interrupted(self) -> dict[str, Any]:
        self.cleanup()
        finished = self._training is not None and self._training.exit_code == 0
        last = self._reported(self._waiting + self._reports.fresh())
        return {**last, "done": True, "ended": "finished" if finished else "pending"}

    def _failed(self, code: int) -> dict[str, Any] | None:
        """Start again at once, or by way of Tune, or give up."""
        why = reason(code, self._folder / LOG)
        if BUSY in why:
            self._busy_since = self._busy_since or time.monotonic()
            if time.monotonic() - self._busy_since < BUSY_SECONDS:
                time.sleep(2.0)
                return None
        if code in (EXIT_REQUEUE, EXIT_INTERRUPTED):
            raise TrialError(f"somebody stopped it: {why}")
        with (self._folder / FAILURES).open("a", encoding="utf-8") as file:
            file.write(
                json.dumps({"time": time.time(), "node": self._local_ip, "code": code, "reason": why}) + "\n"
            )
        if len((self._folder / FAILURES).read_text(encoding="utf-8").splitlines()) > self._retries:
            return self._result(done=True, ended="failed", reason=why)
        raise TrialError(why)
