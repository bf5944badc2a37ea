"""What a sweep has shown: order, options, Pareto front."""

from pathlib import Path

import pytest
from sweep_folders import METRIC, sampled, trial, write_sweep

from pipeline.sweep.report import results
from pipeline.sweep.report.results import pareto


def test_the_front_keeps_what_nothing_beats() -> None:
    points = [(1.0, 9.0), (2.0, 5.0), (2.5, 6.0), (3.0, 5.0), (4.0, 1.0), (5.0, 1.5), (1.0, 10.0)]
    assert pareto(points) == [0, 1, 4]


def test_the_front_of_one_point_is_that_point_and_of_none_nothing() -> None:
    assert pareto([(3.0, 3.0)]) == [0]
    assert pareto([]) == []


def test_finished_trials_come_first_then_stopped_then_failed(tmp_path: Path) -> None:
    trials = [
        trial(0, None, status="failed"),
        trial(1, 10.0, status="stopped"),
        trial(2, 30.0),
        trial(3, None, status="pending", steps=0),
        trial(4, 20.0),
        trial(5, float("nan")),
    ]
    found = results.read(write_sweep(tmp_path, trials))
    assert [one.name[:3] for one in found.ranking] == ["004", "002", "001", "003", "005", "000"]
    assert found.best is not None
    assert found.best.name == "004-trial"
    assert len(found.finished) == 2


def test_options_are_those_that_differ(tmp_path: Path) -> None:
    trials = [sampled(0, "planes", 12), sampled(1, "planes", 6), sampled(2, "planes", 12)]
    space = {"sampler.kind": ["planes"], "sampler.points": [12, 6]}
    found = results.read(write_sweep(tmp_path, trials, space=space))
    assert found.options == {"sampler.points": [6, 12]}
    assert found.compares_samplers
    assert found.label(found.trials[1]) == "planes, 6 points"


def test_a_learning_rate_is_not_the_papers_question(tmp_path: Path) -> None:
    values = {"sampler.points": 6, "train.lr_generator": 1e-4}
    trials = [trial(0, values=values), trial(1, values={**values, "train.lr_generator": 2e-4})]
    found = results.read(write_sweep(tmp_path, trials))
    assert not found.compares_samplers
    assert found.label(found.trials[1]) == "6 points, lr_generator 0.0002"


def test_the_objective_is_the_first_distance_unless_named(tmp_path: Path) -> None:
    assert results.read(write_sweep(tmp_path, [trial(0)], objective=None)).objective == METRIC
    assert results.read(write_sweep(tmp_path, [trial(0)], objective="r1")).objective == "r1"


def test_a_folder_without_a_sweep_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no sweep: there is neither sweep\.yaml nor trials/"):
        results.read(tmp_path)
    (tmp_path / "sweep.yaml").write_text("{")
    with pytest.raises(ValueError, match=r"sweep\.yaml is no valid YAML: .* damaged"):
        results.read(tmp_path)
    (tmp_path / "sweep.yaml").write_text("- 1")
    with pytest.raises(ValueError, match=r"sweep\.yaml: a mapping of options to values is needed"):
        results.read(tmp_path)


def test_the_command_repeats_what_was_asked(tmp_path: Path) -> None:
    asked = {"experiment": "tiny", "overrides": ["train.steps=4", "data.path='a b'"]}
    found = results.read(write_sweep(tmp_path / "mine", [], **asked))
    words = """python -m pipeline.sweep sweep=mine experiment=tiny train.steps=4 'data.path='"'"'a b'"'"''"""
    assert found.command == words
    assert results.read(write_sweep(tmp_path / "mine", [], command="as typed")).command == "as typed"
