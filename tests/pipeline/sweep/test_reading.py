"""The five lines say what the numbers say, on cases whose answer is known."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sweep_folders import PROTOCOL, sampled, trial, write_curve, write_sweep

from pipeline.sweep.report import published, reading, results
from pipeline.sweep.trials import Trial


def read(folder: Path, trials: Sequence[Trial], curve: Sequence[float] = ()) -> list[str]:
    write_sweep(folder, trials)
    for one in trials if curve else ():
        write_curve(folder, one, curve)
    lines = reading.lines(results.read(folder))
    assert len(lines) == 5
    assert all(line.endswith(".") and "\n" not in line for line in lines)
    return lines


def test_the_papers_own_numbers_have_the_papers_winner(tmp_path: Path) -> None:
    lines = [
        (kind, points, value) for kind, line in published.LINES.items() for points, value in line.items()
    ]
    best, second, *_ = read(tmp_path, [sampled(k, *line) for k, line in enumerate(lines)])
    assert best == "Best trial: 011 (manifold, 48 points) with fid_effnetlite0_1000 = 25.2."
    assert second.startswith("Second trial: 009 (manifold, 24 points), 0.6 behind; ")


def test_a_single_try_is_no_proof(tmp_path: Path) -> None:
    _, second, cheapest, *_ = read(tmp_path, [sampled(0, "planes", 6, 20.0), sampled(1, "planes", 24, 20.1)])
    assert second.endswith("0.1 behind; chance is not known: repeat trials with sweep.space.seed=[0,1,2].")
    assert cheapest == "Cheapest trial within chance of the best: not known, as chance is not."


def test_a_trial_without_others_is_best_and_cheapest(tmp_path: Path) -> None:
    _, second, cheapest, *_ = read(tmp_path, [trial(0, 9.0)])
    assert second == "Second trial: none has finished."
    assert cheapest == "Cheapest trial within chance of the best: the best itself, 40 images/s and 1.5 GiB."


def test_differences_within_chance_are_called_that(tmp_path: Path) -> None:
    values = [("planes", 0, 50.0), ("planes", 1, 54.0), ("manifold", 0, 51.0), ("manifold", 1, 55.0)]
    trials = [
        trial(k, v, values={"sampler.kind": kind, "sampler.points": 12, "seed": seed})
        for k, (kind, seed, v) in enumerate(values)
    ]
    best, second, *_ = read(tmp_path, trials)
    assert best == "Best trial: 000 (planes, 12 points, seed 0) with fid_effnetlite0_1000 = 50."
    assert second == (
        "Second trial: 002 (manifold, 12 points, seed 0), 1 behind; within chance, which explains up to 8 "
        "(from the spread of 4 trials that differ in their seed alone)."
    )


def test_a_difference_beyond_chance_is_called_that(tmp_path: Path) -> None:
    trials = [sampled(0, "planes", 6, 90.0), sampled(1, "manifold", 6, 50.0)]
    _, second, *_ = read(tmp_path, trials, [60.0, 58.0, 57.0, 56.2, 55.1, 54.0])
    assert second.startswith("Second trial: 000 (planes, 6 points), 40 behind; beyond chance, which explains")


def test_the_cheapest_is_the_fastest_that_chance_does_not_tell_from_the_best(tmp_path: Path) -> None:
    trials = [
        sampled(0, "manifold", 6, 51.0, images_per_second=80.0, memory_gib=1.0),
        sampled(1, "manifold", 24, 50.0, images_per_second=20.0, memory_gib=4.0),
        sampled(2, "planes", 6, 70.0, images_per_second=90.0),
    ]
    cheapest = read(tmp_path, trials, [60.0, 58.0, 57.0, 56.0, 54.0, 53.5])[2]
    assert cheapest == (
        "Cheapest trial within chance of the best: 000 (manifold, 6 points), 80 images/s and 1 GiB, against "
        "20 images/s and 4 GiB of the best."
    )


def test_different_protocols_are_not_compared(tmp_path: Path) -> None:
    other = {**PROTOCOL, "num_fakes": 50}
    lines = read(tmp_path, [sampled(0, "planes", 6, 9.0), sampled(1, "planes", 24, 5.0, protocol=other)])
    assert lines[0] == (
        "Best trial: none, as objectives were measured by 2 different protocols and cannot be compared."
    )
    assert lines[1:3] == ["Second trial: none.", "Cheapest trial: none."]
    assert lines[4].startswith(
        "Caution: objectives were measured by 2 different protocols; objectives are of 50 images only"
    )


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_without_a_measured_finished_trial_none_is_best(tmp_path: Path, value: float | None) -> None:
    best, *_ = read(
        tmp_path, [trial(0, value), trial(1, 9.0, status="stopped"), trial(2, 8.0, status="failed")]
    )
    assert best == "Best trial: none, as no trial has finished with a measured objective."


def test_trials_are_counted_by_status_with_their_time(tmp_path: Path) -> None:
    states = ("running", "failed", "pending", "failed")
    counts = read(tmp_path / "some", [trial(k, None, status=status) for k, status in enumerate(states)])[3]
    assert counts == "Trials: 2 failed, 1 running, 1 pending; 4:00 of training in total."
    assert read(tmp_path / "none", [])[3] == "Trials: none has started; 0:00 of training in total."


def test_fewer_steps_few_images_and_unfinished_learning_ask_for_caution(tmp_path: Path) -> None:
    few = {**PROTOCOL, "num_fakes": 300}
    trials = [sampled(k, "planes", points, 5.0, protocol=few) for k, points in enumerate((6, 12, 24))]
    trials[2].status = "stopped"
    assert read(tmp_path, trials, [200.0, 100.0, 94.0])[4] == (
        "Caution: stopped trials (1) did fewer steps than finished ones; objectives are of 300 images only; "
        "2 of 2 finished trials still improved by more than 5% at their last measurement."
    )


def test_without_reasons_for_caution_the_protocol_is_told(tmp_path: Path) -> None:
    last = read(tmp_path, [trial(0, 9.0)], [9.1, 9.0])[4]
    assert last == "Protocol (features, generated v real images, size): effnetlite0, 1000 v 1000, 32x32."
