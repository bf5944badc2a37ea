"""metrics.jsonl, sample images, progress."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gram.model.generator import to_pixels
from pipeline.cli.progress import Progress
from pipeline.display import images
from pipeline.tracking import runlog
from pipeline.tracking.runlog import RunLog


def test_reports_stand_in_both_places_in_order(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "work", published=tmp_path / "out", step=0)
    log.report(10, {"loss": 1.5})
    log.report(20, {"loss": float("nan")})
    assert (tmp_path / "work/metrics.jsonl").read_text() == (tmp_path / "out/metrics.jsonl").read_text()
    records = list(runlog.read(log.metrics))
    assert [(record["step"], record["loss"]) for record in records] == [(10, 1.5), (20, None)]


def test_resuming_drops_reports_that_will_be_made_again_and_publishes_the_rest(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "work", published=tmp_path / "out", step=0)
    for step in (10, 20, 30):
        log.report(step, {"loss": step})
    log.image("samples", 20, np.zeros((2, 2, 3), np.uint8))
    with log.metrics.open("a") as file:
        file.write('{"step": 40, "lo')  # killed in the middle of a line
    again = RunLog(tmp_path / "work", published=tmp_path / "elsewhere", step=20)
    again.report(30, {"loss": -1.0})
    assert [record["loss"] for record in runlog.read(tmp_path / "elsewhere/metrics.jsonl")] == [10, 20, -1]
    assert (tmp_path / "elsewhere/samples/samples-0000020.png").exists()


def test_records_are_read_on_from_where_the_last_whole_line_ended(tmp_path: Path) -> None:
    def steps(start: int) -> tuple[list[float], int]:
        found = list(runlog.read_from(file, start))
        return [record["step"] for record, _ in found], found[-1][1] if found else start

    file = tmp_path / "metrics.jsonl"
    assert steps(0) == ([], 0)
    lines = [f'{{"step": {step}, "time": 1}}\n' for step in (1, 2, 3)]
    file.write_text(lines[0] + lines[1][:9])
    found, end = steps(0)
    assert (found, end) == ([1], len(lines[0]))
    file.write_text(lines[0] + lines[1][:-1])  # whole, but for its end
    assert steps(end) == ([2], end)
    file.write_text("".join(lines))
    assert steps(end) == ([2, 3], len("".join(lines)))
    assert steps(len("".join(lines))) == ([], len("".join(lines)))
    file.write_text(lines[2])  # anew
    assert steps(len("".join(lines))) == ([3], len(lines[2]))
    file.write_text(lines[0] + "[1]\n")
    with pytest.raises(ValueError, match=rf"metrics.jsonl, line 1 after byte {end}: .*not an object"):
        steps(end)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[1]", "it is a list of 1 item, not an object"),
        ('{"time": 1}', "step is missing"),
        ('{"step": "x"}', "step is 'x', not a whole number"),
        ('{"step": 1, "loss": "x"}', "'loss' is 'x', not a number"),
        ('{"step": 1, "lo', "it is no JSON"),
        ("[" * 100_000, "nested more than 64 deep"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text(f'{{"step": 1, "time": 0.5}}\n{line}\n{{"step": 3, "time": 1}}\n')
    with pytest.raises(ValueError, match=rf"metrics.jsonl, line 2.*{problem}.*: it is no record"):
        list(runlog.read(file))


def test_a_record_without_end_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    with file.open("wb") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 1 cannot be read"):
        list(runlog.read(file))


def test_pictures_come_by_step_and_name_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in (
        "sweep-0000012.png",
        "grid-0000012.png",
        "grid-0000002.png",
        "mine.png",
        "a-b.png",
        "x-1.txt",
    ):
        (tmp_path / name).touch()
    found = [(step, name) for step, name, _ in runlog.images(tmp_path)]
    assert found == [(2, "grid"), (12, "grid"), (12, "sweep")]


def test_a_new_run_publishes_nothing_of_the_old_one(tmp_path: Path) -> None:
    old = RunLog(tmp_path / "a", published=tmp_path / "out", step=0)
    old.report(10, {"loss": 1.0})
    old.image("samples", 10, np.zeros((2, 2, 3), np.uint8))
    old.finish()
    RunLog(tmp_path / "b", published=tmp_path / "out", step=0)
    assert (tmp_path / "out/metrics.jsonl").read_text() == ""
    assert list((tmp_path / "out/samples").iterdir()) == []
    assert not (tmp_path / "out/curves.csv").exists()


def test_curves_have_a_column_for_every_metric_that_ever_appears(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "work", published=tmp_path / "out", step=0)
    log.report(1, {"loss": 0.5})
    log.report(2, {"loss": 0.25, "r1": 2.0})
    log.finish()
    assert (tmp_path / "out/curves.csv").read_text().splitlines() == ["step,loss,r1", "1,0.5,", "2,0.25,2.0"]


def test_a_written_png_reads_back_bit_for_bit(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    images.write_png(tmp_path / "new/picture.png", pixels)
    with Image.open(io.BytesIO((tmp_path / "new/picture.png").read_bytes())) as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.png"]


def test_pixels_are_rounded_and_clipped() -> None:
    batch = torch.tensor([-1.1, -1.0, 0.0, 1.0, 1.1]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_pixels(batch)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_near_is_warm_and_far_is_dark_blue() -> None:
    color = images.depth_to_pixels(torch.tensor([[[0.88, 1.12, 5.0]]]), near=0.88, far=1.12)[0, 0].astype(int)
    near, far, beyond = color
    assert near[0] > near[2]
    assert far[2] > far[1]
    assert far.tolist() == beyond.tolist()


def test_tiles_stand_in_reading_order_with_whole_magnification() -> None:
    shades = np.full((3, 48, 48, 3), 0, np.uint8) + np.array([10, 20, 30], np.uint8).reshape(3, 1, 1, 1)
    canvas = images.tile(shades, columns=2)
    assert canvas.shape == (2 * 98 + 2, 2 * 98 + 2, 3)
    assert [canvas[50, 50, 0], canvas[50, 150, 0], canvas[150, 50, 0], canvas[150, 150, 0]] == [
        10,
        20,
        30,
        255,
    ]


def test_progress_says_speed_time_left_and_losses_without_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("train", total=10, done=4, items_per_unit=8) as progress:
        progress.update(5, {"loss": 0.123})
        progress.update(10)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("train 5/10  ")
    assert "images/s" in lines[0]
    assert "left  loss 0.123  " in lines[0]
    assert lines[0].endswith("GiB")
    assert lines[1].startswith("train 10/10  ")
    assert "left" not in lines[1]


def test_reports_are_json(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "work", published=tmp_path / "out", step=0)
    log.report(1, {"loss": float("inf")})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(log.metrics.read_text(), parse_constant=refuse)
