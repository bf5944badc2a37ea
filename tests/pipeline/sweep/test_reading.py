"""The plain reading says what the numbers say, on cases whose answer is known."""

from collections.abc import Sequence
from pathlib import Path

from sweep_folders import PROTOCOL, sampled, trial, write_curve, write_sweep

from pipeline.sweep.report import published, results, sentences
from pipeline.sweep.trials import Trial


def read(folder: Path, trials: Sequence[Trial]) -> str:
    return " ".join(sentences.sentences(results.read(write_sweep(folder, trials))))


def as_published() -> list[Trial]:
    lines = [
        (kind, points, value) for kind, line in published.lines().items() for points, value in line.items()
    ]
    return [sampled(k, kind, points, value) for k, (kind, points, value) in enumerate(lines)]


def test_the_papers_own_numbers_are_read_as_the_paper_reads_them(tmp_path: Path) -> None:
    text = read(tmp_path, as_published())
    assert "Best is manifold, 48 points with fid_effnetlite0_1000 = 25.2" in text
    assert "manifold keeps its quality down to 6 points per ray: 27.4 at 6, 25.2 at 48." in text
    assert "hierarchical falls apart below 36 points per ray: 117 at 6, 30 at 48." in text
    assert "At 24 points: manifold 25.8, spheres 27.8, planes 28.3, hierarchical 35.4." in text
    assert "That is the paper's order at 24 points (manifold before spheres before planes" in text


def test_the_opposite_is_read_as_the_opposite(tmp_path: Path) -> None:
    values = {"hierarchical": {6: 20.0, 24: 20.0}, "manifold": {6: 90.0, 24: 40.0}}
    lines = [(kind, points, value) for kind, line in values.items() for points, value in line.items()]
    text = read(tmp_path, [sampled(k, *line) for k, line in enumerate(lines)])
    assert "hierarchical keeps its quality down to 6 points per ray" in text
    assert "manifold falls apart below 24 points per ray: 90 at 6, 40 at 24." in text
    assert "That is not the paper's order at 24 points (manifold before hierarchical)." in text


def test_more_points_that_make_it_worse_are_said_so(tmp_path: Path) -> None:
    text = read(tmp_path, [sampled(0, "planes", 6, 20.0), sampled(1, "planes", 24, 40.0)])
    assert "planes does not gain from more points: 20 at 6, 40 at 24." in text


def test_a_single_try_is_no_proof(tmp_path: Path) -> None:
    text = read(tmp_path, [sampled(0, "planes", 6, 20.0), sampled(1, "planes", 24, 20.1)])
    assert "How much of these differences is chance is not known" in text


def test_differences_within_chance_are_called_that(tmp_path: Path) -> None:
    def seeds(kind: str, first: int, values: tuple[float, ...]) -> list[Trial]:
        options = [{"sampler.kind": kind, "sampler.points": 12, "seed": s} for s in range(len(values))]
        return [trial(first + s, v, values=options[s]) for s, v in enumerate(values)]

    trials = [
        *seeds("manifold", 0, (51.0, 55.0)),
        *seeds("planes", 2, (50.0, 54.0)),
        sampled(4, "planes", 6, 90.0),
    ]
    text = read(tmp_path, trials)
    assert "Best is planes, 12 points, seed 0 with fid_effnetlite0_1000 = 50" in text
    assert "3 other trials cannot be told from it by these numbers" in text
    assert "Not quite the paper's order at 24 points (manifold before planes), but chance explains" in text


def test_a_difference_beyond_chance_is_called_that(tmp_path: Path) -> None:
    trials = [sampled(0, "planes", 6, 90.0), sampled(1, "manifold", 6, 50.0)]
    write_sweep(tmp_path, trials)
    for one in trials:
        write_curve(tmp_path, one, [60.0, 58.0, 57.0, 56.2, 55.1, 54.0])
    text = " ".join(sentences.sentences(results.read(tmp_path)))
    assert "40 ahead of planes, 6 points, more than chance explains." in text


def test_cheaper_trials_about_as_good_are_named(tmp_path: Path) -> None:
    trials = [
        sampled(0, "manifold", 6, 51.0, images_per_second=80.0, memory_gib=1.0),
        sampled(1, "manifold", 24, 50.0, images_per_second=20.0, memory_gib=4.0),
        sampled(2, "planes", 6, 70.0, images_per_second=90.0),
    ]
    wanted = "About as good for less: manifold, 6 points with 51, 4 times as fast, 1 GiB instead of 4."
    assert wanted in read(tmp_path, trials)


def test_trials_that_still_learn_are_counted(tmp_path: Path) -> None:
    trials = [sampled(k, "planes", points) for k, points in enumerate((6, 12, 24))]
    write_sweep(tmp_path, trials)
    for one, last in zip(trials, (94.0, 96.0, 110.0), strict=True):
        write_curve(tmp_path, one, [200.0, 100.0, last])
    text = " ".join(sentences.sentences(results.read(tmp_path)))
    assert "1 of 3 trials still improved by more than 5% at their last measurement" in text


def test_different_protocols_are_not_compared(tmp_path: Path) -> None:
    trials = [
        sampled(0, "planes", 6, 9.0),
        sampled(1, "planes", 24, 5.0, protocol={**PROTOCOL, "num_fakes": 50}),
    ]
    text = read(tmp_path, trials)
    assert text.endswith("measured in different ways (protocols below): they cannot be compared.")
    assert "Best" not in text


def test_half_done_failed_single_and_empty_sweeps_have_a_reading(tmp_path: Path) -> None:
    def state(name: str, *trials: Trial) -> str:
        return read(tmp_path / name, trials)

    assert (
        state("empty")
        == "No trial has started. Nothing can be said: no trial finished with a measured objective."
    )
    running = state("running", trial(0, None, status="running"), trial(1, None, status="pending", steps=0))
    assert running.startswith("0 of 2 trials finished, 1 running, 1 waiting. Nothing can be said yet")
    failed = state("failed", trial(0, None, status="failed"), trial(1, 9.0, status="stopped"))
    assert failed.startswith(
        "0 of 2 trials finished, 1 stopped by the scheduler, 1 failed. Nothing can be said:"
    )
    assert "there is nothing to compare it with" in state("single", trial(0, 9.0))
    assert "Nothing can be said" in state("nan", trial(0, float("nan")), trial(1, float("inf")))


def test_other_options_are_read_by_their_best_values(tmp_path: Path) -> None:
    few = [trial(k, 50.0 + k, values={"train.r1_weight": v}) for k, v in enumerate((2, 1, 4))]
    assert "Best for each train.r1_weight: 2 50, 1 51, 4 52." in read(tmp_path / "few", few)
    rates = [1e-5 * 1.5**k for k in range(12)]
    many = [trial(k, abs(k - 5.2) + 1.0, values={"train.lr_generator": rate}) for k, rate in enumerate(rates)]
    text = read(tmp_path / "many", many)
    assert "The best 3 trials have train.lr_generator from 5.063e-05 to 0.0001139; 1e-05 to 0.000865" in text


def test_an_objective_below_zero_is_read_without_ratios(tmp_path: Path) -> None:
    text = read(tmp_path, [sampled(0, "planes", 6, -1.0), sampled(1, "planes", 12, -3.0)])
    assert "planes loses quality below 12 points per ray: -1 at 6, -3 at 12." in text
