"""What comes next in a search, also in one that goes on, where sources and schedulers know what was."""

from pathlib import Path

import pytest

from pipeline.sweep import request
from pipeline.sweep.ledger import Ledger
from pipeline.sweep.request import Request
from pipeline.sweep.space import Values
from pipeline.sweep.trials import Trial, read_trials
from pipeline.sweep.tune.queue import Queue
from pipeline.sweep.tune.schedulers import _within, scheduler
from pipeline.sweep.tune.searchers import Suggested

OPTUNA = """
experiment: tiny
fixed: {train.measure_every: 4, train.steps: 64}
space:
  train.lr_generator: {loguniform: [1.0e-5, 1.0e-1]}
  sampler.points: [3, 5, 7]
  seed: {randint: [0, 4]}
search: optuna
num_trials: 30
"""


def asked(folder: Path, *more: str) -> Request:
    file = folder / "mine.yaml"
    file.write_text(OPTUNA)
    return request.read([f"sweep={file}", *more], None)


def ended(name: str, values: Values, objective: float | None, status: str = "finished") -> Trial:
    trial = Trial(name=name, values=values, points_per_ray=5, objective=objective)
    trial.status = status  # type: ignore[assignment]
    return trial


def distance(values: Values) -> float:
    """Least at a learning rate of 1e-3 and five points."""
    import math

    return abs(math.log10(values["train.lr_generator"]) + 3) + abs(values["sampler.points"] - 5)


def tried(source: Suggested, count: int, start: int = 0) -> list[Trial]:
    trials = []
    for index in range(start, start + count):
        values = source.next(index)
        assert values is not None
        trial = ended(f"{index:03}", values, distance(values))
        source.named(trial)
        source.result(trial)
        trials.append(trial)
    return trials


def test_optuna_gets_closer_and_ends_with_the_last_trial(tmp_path: Path) -> None:
    source = Suggested(asked(tmp_path, "sweep.num_trials=60"))
    trials = tried(source, 60)
    assert source.next(60) is None
    first, last = trials[:10], trials[50:]
    assert sum(distance(t.values) for t in last) < 0.6 * sum(distance(t.values) for t in first)
    assert all(t.values["sampler.points"] in (3, 5, 7) and 0 <= t.values["seed"] <= 4 for t in trials)


def test_optuna_made_again_from_trials_knows_them_and_those_that_go_on(tmp_path: Path) -> None:
    trials = tried(Suggested(asked(tmp_path)), 20)
    trials.append(ended("020", {**trials[0].values}, None, "failed"))
    waiting = ended("021", {"train.lr_generator": 2e-3, "sampler.points": 7, "seed": 1}, None, "pending")
    again = Suggested(asked(tmp_path))
    for trial in [*trials, waiting]:
        again.known(trial)
    waiting.status, waiting.objective = "finished", distance(waiting.values)
    again.result(waiting)
    later = tried(again, 5, start=22)
    assert sum(distance(t.values) for t in later) / 5 < sum(distance(t.values) for t in trials[:10]) / 10


@pytest.mark.parametrize("known", [1, 7, 15, 22])
def test_a_resumed_search_equals_one_never_stopped(tmp_path: Path, known: int) -> None:
    straight = tried(Suggested(asked(tmp_path)), 24)
    again = Suggested(asked(tmp_path))
    for trial in straight[:known]:
        again.known(trial)
    rest = tried(again, 24 - known, start=known)
    assert [trial.values for trial in rest] == [trial.values for trial in straight[known:]]


def test_a_search_stopped_within_a_trial_equals_one_never_stopped(tmp_path: Path) -> None:
    straight = tried(Suggested(asked(tmp_path)), 20)
    again = Suggested(asked(tmp_path))
    for trial in straight[:12]:
        again.known(trial)
    cut = ended("012", straight[12].values, None, "pending")
    again.known(cut)
    cut.status, cut.objective = "finished", straight[12].objective
    again.result(cut)
    assert [trial.values for trial in tried(again, 7, start=13)] == [trial.values for trial in straight[13:]]


def test_seeds_make_other_searches(tmp_path: Path) -> None:
    first, second = (tried(Suggested(asked(tmp_path, f"sweep.seed={seed}")), 3) for seed in (0, 1))
    assert [trial.values for trial in first] != [trial.values for trial in second]


def test_a_ladder_made_again_stops_whom_it_would_have_stopped(tmp_path: Path) -> None:
    wanted = asked(tmp_path, "sweep.scheduler=asha", "sweep.grace_steps=8", "sweep.reduction=2")
    histories = {
        str(i): [{"step": 8, "distance/fid": 10.0 + i}, {"step": 16, "distance/fid": 5.0 + i}]
        for i in range(4)
    }
    from types import SimpleNamespace

    from ray.tune.schedulers import TrialScheduler

    for objective, decision in ((99.0, TrialScheduler.STOP), (1.0, TrialScheduler.CONTINUE)):
        asha = scheduler(wanted, histories)
        trial = SimpleNamespace(trial_id="new")
        asha.on_trial_add(None, trial)  # type: ignore[arg-type]
        told = {"step": 8, "objective": objective}
        assert asha.on_trial_result(None, trial, told) == decision  # type: ignore[arg-type]
    fresh = scheduler(wanted, {})
    fresh.on_trial_add(None, trial)  # type: ignore[arg-type]
    told = {"step": 8, "objective": 99.0}
    assert fresh.on_trial_result(None, trial, told) == TrialScheduler.CONTINUE  # type: ignore[arg-type]


def test_multiplied_values_stay_in_their_intervals(tmp_path: Path) -> None:
    space = asked(tmp_path).space
    config = {"values": {"train.lr_generator": 0.3, "sampler.points": 5, "seed": 3.6}}
    assert _within(config, space)["values"] == {"train.lr_generator": 1e-1, "sampler.points": 5, "seed": 4}


def test_unfinished_trials_come_first_and_nothing_comes_once_the_end_is_asked_for(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, cpus=1, gpus=0)
    first = ledger.add({"seed": 1}, points_per_ray=5)
    second = ledger.add({"seed": 2}, points_per_ray=5)
    ledger.ended(first.name, "finished", None)
    ledger.started(second.name)
    again = Ledger(tmp_path, cpus=1, gpus=0)
    assert [trial.status for trial in read_trials(tmp_path)] == ["finished", "pending"]
    assert [trial.name for trial in again.unfinished] == [second.name]
    stop = False
    queue = Queue(
        again.unfinished,
        lambda: again.add({"seed": 3}, points_per_ray=5) if len(again.trials) < 3 else None,
        lambda trial: {"values": trial.values},
        lambda: stop,
    )
    assert queue.suggest("a") == {"values": {"seed": 2}}
    assert queue.suggest("b") == {"values": {"seed": 3}}
    assert queue.suggest("c") == Queue.FINISHED
    assert queue.names == {"a": "001-seed_2", "b": "002-seed_3"}
    stop = True
    assert queue.suggest("d") == Queue.FINISHED


@pytest.mark.parametrize("status", ["finished", "stopped", "failed"])
def test_trials_that_are_over_stay_over(tmp_path: Path, status: str) -> None:
    ledger = Ledger(tmp_path, cpus=1, gpus=0)
    trial = ledger.add({"seed": 1}, points_per_ray=5)
    ledger.started(trial.name)
    ledger.ended(trial.name, status, "why")
    assert Ledger(tmp_path, cpus=1, gpus=0).unfinished == []
    (read,) = read_trials(tmp_path)
    assert (read.status, read.reason, read.attempts) == (status, "why", 1)
