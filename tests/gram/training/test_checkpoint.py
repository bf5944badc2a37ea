"""Checkpoints survive a killed process and a full disk, and refuse what does not fit."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gram.training import checkpoint

ROOT = Path(__file__).parents[3]
SIZE = 400_000


class Counter:
    """The smallest thing that can be resumed: every value of its tensor is its step."""

    def __init__(self, step: int = 0, size: int = 4) -> None:
        self.step = step
        self.values = torch.full((size,), float(step))

    def tensors(self) -> dict[str, Tensor]:
        return {"values": self.values}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        if tensors.keys() != {"values"} or tensors["values"].shape != self.values.shape:
            raise RuntimeError("names or shapes differ")
        self.values = tensors["values"]


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_the_newest_checkpoint_comes_back(tmp_path: Path) -> None:
    for step in (5, 20, 100):
        path = checkpoint.save(tmp_path, Counter(step), keep=9)
        assert path == tmp_path / f"step-{step:08d}"
    restored = Counter()
    assert checkpoint.newest_step(tmp_path) == 100
    assert checkpoint.load_newest(tmp_path, restored) == 100
    assert restored.step == 100
    assert torch.equal(restored.values, torch.full((4,), 100.0))


def test_a_folder_without_checkpoints_changes_nothing(tmp_path: Path) -> None:
    state = Counter(7)
    for folder in (tmp_path, tmp_path / "missing"):
        assert checkpoint.newest_step(folder) is None
        assert checkpoint.load_newest(folder, state) is None
    assert state.step == 7


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_only_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    for step in range(1, 5):
        checkpoint.save(tmp_path, Counter(step), keep=keep)
        assert visible(tmp_path) == [f"step-{s:08d}" for s in range(max(1, step - keep + 1), step + 1)]
    assert len(list(tmp_path.iterdir())) == min(keep, 4)  # nothing hidden either


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, Counter(3), keep=2)
    other = Counter(3)
    other.values += 0.5
    checkpoint.save(tmp_path, other, keep=2)
    restored = Counter()
    checkpoint.load_newest(tmp_path, restored)
    assert torch.equal(restored.values, torch.full((4,), 3.5))
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000003"]


def test_what_a_killed_process_left_aside_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, Counter(3), keep=2)
    half = tmp_path / ".step-00000004.partial"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    assert checkpoint.newest_step(tmp_path) == 3
    checkpoint.save(tmp_path, Counter(4), keep=2)
    assert checkpoint.load_newest(tmp_path, Counter()) == 4
    assert not half.exists()


def test_a_checkpoint_holds_tensors_and_json_only(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, Counter(3), keep=1, conditions={"processes": 2})
    assert sorted(p.name for p in path.iterdir()) == ["checkpoint.json", "tensors.safetensors"]
    description = json.loads((path / "checkpoint.json").read_text())
    assert len(description.pop("digest")) == 64
    assert description == {"format": 1, "step": 3, "conditions": {"processes": 2}}
    found = checkpoint.read_newest(tmp_path)
    assert found is not None
    assert (found.step, found.conditions) == (3, {"processes": 2})


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, Counter(3, size=4), keep=1)
    state = Counter(size=5)
    with pytest.raises(
        ValueError, match=r"step-00000003 is not of this model \(names or shapes differ\): remove"
    ):
        checkpoint.load_newest(tmp_path, state)
    assert state.step == 0
    assert len(state.values) == 5


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, Counter(3), keep=1)
    (path / "checkpoint.json").write_text('{"format": 2, "step": 3}')
    with pytest.raises(ValueError, match="step-00000003 has format 2, this program reads 1: remove it"):
        checkpoint.load_newest(tmp_path, Counter())


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def describe(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads((path / "checkpoint.json").read_text())
    change(told)
    (path / "checkpoint.json").write_text(json.dumps(told))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit of a weight": lambda path: flip(path / "tensors.safetensors", -1),
    "one bit of a name": lambda path: flip(path / "tensors.safetensors", 12),
    "cut short": lambda path: os.truncate(path / "tensors.safetensors", 60),
    "empty": lambda path: os.truncate(path / "tensors.safetensors", 0),
    "no tensors": lambda path: (path / "tensors.safetensors").unlink(),
    "a pickle": lambda path: (path / "tensors.safetensors").write_bytes(b"\x80\x04]\x94."),
    "no description": lambda path: (path / "checkpoint.json").unlink(),
    "a description cut short": lambda path: os.truncate(path / "checkpoint.json", 20),
    "a list": lambda path: (path / "checkpoint.json").write_text("[1]"),
    "no step": lambda path: describe(path, lambda told: told.pop("step")),
    "another step": lambda path: describe(path, lambda told: told.update(step=11)),
    "a step of text": lambda path: describe(path, lambda told: told.update(step="10")),
    "other conditions": lambda path: describe(path, lambda told: told.update(conditions={"torch": "3"})),
    "another digest": lambda path: describe(path, lambda told: told.update(digest="0" * 64)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_an_older_one_goes_on(tmp_path: Path, damage: str) -> None:
    paths = [checkpoint.save(tmp_path, Counter(step), keep=9) for step in (5, 10)]
    DAMAGES[damage](paths[1])
    with pytest.raises(checkpoint.DamagedError, match=r"step-00000010.*: .*") as error:
        checkpoint.read(paths[1])
    assert "\n" not in str(error.value)
    found = checkpoint.read_newest(tmp_path)
    assert found is not None
    assert (found.step, [path for path, _ in found.damaged]) == (5, [paths[1]])
    assert str(found.damaged[0].error) == str(error.value)
    DAMAGES["one bit of a weight"](paths[0])
    with pytest.raises(checkpoint.DamagedError, match="step-00000010"):
        checkpoint.read_newest(tmp_path)


def test_every_single_bit_of_a_checkpoint_counts(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, Counter(5), keep=1)
    file = path / "tensors.safetensors"
    whole = file.read_bytes()
    for place in range(len(whole)):
        flip(file, place)
        with pytest.raises(checkpoint.DamagedError):
            checkpoint.read(path)
        file.write_bytes(whole)
    assert checkpoint.read(path).step == 5


def test_checkpoints_from_before_there_were_digests_still_load(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, Counter(5), keep=1)
    describe(path, lambda told: [told.pop(name) for name in ("digest", "conditions")])
    assert checkpoint.load_newest(tmp_path, Counter()) == 5


KILLED_WHILE_SAVING = """
import json, os, signal, sys, time
from pathlib import Path
sys.path.insert(0, "tests/gram/training")
from test_checkpoint import SIZE, Counter
from gram.training import checkpoint

def save_forever(folder, step, announcements):
    while True:
        step += 1
        checkpoint.save(folder, Counter(step, size=SIZE), keep=2)
        os.write(announcements, f"{step} ".encode())

folder, announced = Path(sys.argv[1]), 0
for attempt in range(12):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        save_forever(folder, announced, writing)
    os.close(writing)
    first = os.read(reading, 1)
    time.sleep(0.0017 * attempt)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    steps = (first + os.read(reading, 1_000_000)).split()
    os.close(reading)
    state = Counter(size=SIZE)
    found = checkpoint.load_newest(folder, state)
    print(json.dumps({
        "signal": os.WTERMSIG(status), "announced": int(steps[-1]), "found": found,
        "least": float(state.values.min()), "most": float(state.values.max()),
        "in the middle": any(path.name.endswith(".partial") for path in folder.iterdir()),
    }))
    announced = found
"""


def run_program(program: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, folder],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_process_killed_while_saving_loses_at_most_the_checkpoint_it_was_writing(tmp_path: Path) -> None:
    kills = [json.loads(line) for line in run_program(KILLED_WHILE_SAVING, tmp_path).splitlines()]
    assert len(kills) == 12
    for kill in kills:
        assert kill["signal"] == signal.SIGKILL
        assert kill["found"] in (kill["announced"], kill["announced"] + 1)  # complete, not yet announced
        assert kill["least"] == kill["most"] == kill["found"]
    assert any(kill["in the middle"] for kill in kills)


SAVING_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, "tests/gram/training")
from test_checkpoint import Counter
from gram.training import checkpoint

folder = Path(sys.argv[1])
checkpoint.save(folder, Counter(1, size=1000), keep=1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(folder, Counter(2, size=1_000_000), keep=1)
except OSError as error:
    print(error.errno)
"""


def test_a_full_disk_is_an_oserror_and_older_checkpoints_are_intact(tmp_path: Path) -> None:
    assert int(run_program(SAVING_ON_A_FULL_DISK, tmp_path)) in (errno.EFBIG, errno.ENOSPC)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]  # nor is anything half-written left
    state = Counter(size=1000)
    assert checkpoint.load_newest(tmp_path, state) == 1
    assert torch.equal(state.values, torch.ones(1000))
