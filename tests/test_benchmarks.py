"""Benchmarks time what they say, at a size that a CPU can do, and refuse what it cannot."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import parts, train_step
from benchmarks.published import Case, Training
from benchmarks.timing import Clock

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
SMALL = Case(size=8, batch=2, width=8)
NUMBER = r"([\d.]+)"
LINE = re.compile(rf"^(.{{34}}){NUMBER} (images/s|ms) \({NUMBER}, {NUMBER}\) ")


def test_the_clock_counts_every_run_and_tells_slow_from_fast() -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(len(calls))
        if len(calls) == Clock.WARM_UP + 1:
            sum(range(10**6))

    timing = Clock(CPU, 3).time(work)
    assert len(calls) == 3 + Clock.WARM_UP
    assert timing.fastest <= timing.median < timing.slowest


def test_the_time_of_a_backward_pass_is_without_its_forward_pass() -> None:
    weight = torch.zeros(4, requires_grad=True)

    def forward() -> tuple[torch.Tensor, ...]:
        sum(range(10**6))
        return (weight * 2.0, torch.zeros(1))

    clock = Clock(CPU, 3)
    assert clock.time_backward(forward).median < 0.5 * clock.time(forward).median
    assert weight.grad is not None
    assert weight.grad.eq(2.0 * (3 + Clock.WARM_UP)).all()


@pytest.mark.parametrize(
    ("size", "batch", "chosen", "at_once"),
    [(256, 4, 0, 1), (64, 16, 0, 16), (64, 32, 0, 16), (64, 16, 4, 4)],
)
def test_a_micro_batch_has_the_pixels_of_one_large_image(
    size: int, batch: int, chosen: int, at_once: int
) -> None:
    assert Case(size=size, batch=batch, micro_batch=chosen).at_once == at_once


def test_what_is_timed_is_the_published_model_and_its_training() -> None:
    model, training = Case(size=256, batch=4).model(), Case(size=256, batch=4).training()
    radiance, manifold, sampler = model["radiance"], model["manifold"], model["sampler"]
    assert (radiance["width"], radiance["layers"], radiance["view_dependent"]) == (256, 8, True)
    assert (manifold["width"], manifold["hidden_layers"]) == (128, 3)
    assert (sampler["levels"], sampler["num_samples"], sampler["mode"]) == (23, 64, "linear")
    assert (model["discriminator"]["size"], model["discriminator"]["width"]) == (256, 1.0)
    assert (training.r1_every, training.r1_weight, training.patches) == (1, 1.0, 1)
    assert (training.share_fakes, training.manifold_every, training.precision) == (False, 1, "no")


@pytest.mark.parametrize("r1_every", [1, 3])
def test_a_run_takes_the_steps_until_r1_was_due_once(r1_every: int) -> None:
    training = Training(replace(SMALL, r1_every=r1_every), CPU)
    step = training.stepper()
    step()
    assert training.state.step == r1_every
    step()
    assert training.state.step == 2 * r1_every


@pytest.mark.parametrize("patches", [1, 4])
def test_every_part_of_a_step_is_timed(patches: int) -> None:
    training = Training(replace(SMALL, patches=patches), CPU)
    found = parts.parts_of_a_step(training, Clock(CPU, 3))
    names = [part.name for part in found]
    assert len(set(names)) == len(names) == 9
    for wanted in ("intersections, forward", "radiance field, forward", "radiance field, backward", "R1"):
        assert wanted in names
    differences = ("compositing, and the rest of drawing", "R1")
    assert all(part.milliseconds > 0 for part in found if part.name not in differences)


def test_a_small_case_prints_figures_with_their_spread_and_where_the_time_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = "--size 8 --batch 2 --width 8 --runs 3 --lazy-r1 2 --samples 8 --cpu"
    assert train_step.main(options.split()) == 0
    printed = capsys.readouterr().out
    rows = [match.groups() for line in printed.splitlines() if (match := LINE.match(line))]
    assert [(name.strip(), unit) for name, _, unit, *_ in rows] == [
        ("8 x 8, batch 2", "images/s"),
        ("8 x 8, one image, forward", "ms"),
        ("+ R1 every 2 steps", "images/s"),
        ("+ 8 search points, refined roots", "images/s"),
    ]
    for _, median, _, fastest, slowest in rows:
        low, high = sorted((float(fastest), float(slowest)))
        assert 0 < low <= float(median) <= high
    assert printed.count("changes the algorithm") == 2
    assert "the whole step" in printed
    assert printed.startswith("CPU")


@pytest.mark.parametrize("options", [[], ["--size", "128"]])
def test_without_a_gpu_the_table_is_not_measured_and_says_so(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_step.main(["--cpu", *options]) == 1
    printed = capsys.readouterr().out
    assert "there is no GPU here" in printed
    assert "nothing was measured" in printed
    assert LINE.search(printed) is None


def test_the_table_is_the_one_that_is_wanted() -> None:
    wanted = [row for row in train_step.TABLE if row.wanted]
    assert [(row.size, row.batch, row.forward) for row in wanted] == [
        (256, 4, False), (64, 16, False), (256, 1, True)
    ]  # fmt: skip
    readme = (ROOT / "benchmarks/README.md").read_text()
    for row in wanted:
        for figures in (row.prior, row.wanted):
            assert figures.split()[0] in readme


def test_rows_that_save_memory_are_the_first_row_otherwise() -> None:
    first, *others = train_step.TABLE
    savers = [row for row in others if row.recompute or row.patches > 1]
    assert [(row.recompute, row.patches) for row in savers] == [(True, 1), (False, 2)]
    for row in savers:
        case = train_step.case_of(row, SMALL)
        assert (case.recompute, case.patches) == (row.recompute, row.patches)
        assert replace(case, recompute=False, patches=1) == train_step.case_of(first, SMALL)
    assert train_step.case_of(first, replace(SMALL, recompute=True, patches=4)).patches == 4
