"""Data sets of a sweep: each that trials ask for, once, before the first one starts."""

from pathlib import Path

import pytest

from gram.data.reader import ImageDataset
from pipeline.config.options import ConfigError
from pipeline.config.schema import Config
from pipeline.prepare import stage as prepare
from pipeline.sweep import checks, request
from pipeline.sweep.request import Request
from pipeline.sweep.tune import datasets

BASE = """
experiment: tiny
fixed: {train.measure_every: 2, data.identities: 2, data.test_identities: 1, data.views: 1, data.size: 8}
"""


def asked(folder: Path, space: str, *more: str) -> Request:
    file = folder / "mine.yaml"
    file.write_text(f"{BASE}space: {space}\n")
    own = [f"paths.train_data='{folder}/train'", f"paths.test_data='{folder}/test'"]
    return request.read([f"sweep={file}", f"sweep.folder={folder}/sweeps", *own, *more], None)


class Counted:
    """`prepare.run`, with its number of calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, config: Config) -> None:
        self.calls += 1
        prepare.run(config)


def test_trials_over_an_option_of_the_data_train_on_what_they_say(tmp_path: Path) -> None:
    wanted = asked(tmp_path, "{data.yaw_std: [0.3, 0.6], seed: [0, 1]}")
    prepare.run(wanted.config)  # the project's own: of 0.3
    checks.check(wanted)
    run = Counted()
    made = datasets.of_request(wanted, run)
    assert run.calls == 1
    folders = {
        (yaw, seed): made.paths(wanted.compose({"data.yaw_std": yaw, "seed": seed}).config)["train_data"]
        for yaw in (0.3, 0.6)
        for seed in (0, 1)
    }
    assert run.calls == 1
    assert folders[0.3, 0] == folders[0.3, 1] == f"{tmp_path}/train"
    assert folders[0.6, 0] == folders[0.6, 1] != folders[0.3, 0]
    assert sorted(made.folders) == sorted({*folders.values()})
    for (yaw, _), place in folders.items():
        prepared = ImageDataset(place).meta.prepared
        assert prepared is not None and prepared["yaw_std"] == yaw
    again = Counted()
    assert datasets.of_request(wanted, again).folders == made.folders
    assert again.calls == 0


def test_a_data_set_that_does_not_tell_what_it_is_is_not_believed(tmp_path: Path) -> None:
    wanted = asked(tmp_path, "{data.yaw_std: [0.3, 0.6]}")
    prepare.run(wanted.config)
    meta = tmp_path / "train/meta.json"
    meta.write_text(meta.read_text().replace('"prepared"', '"of_another_program"'))
    run = Counted()
    made = datasets.of_request(wanted, run)
    assert run.calls == 2 and f"{tmp_path}/train" not in made.folders


def test_a_search_over_other_options_shares_the_projects_own(tmp_path: Path) -> None:
    wanted = asked(tmp_path, "{seed: [0, 1]}")
    prepare.run(wanted.config)
    run = Counted()
    assert datasets.of_request(wanted, run).folders == [f"{tmp_path}/train"]
    assert run.calls == 0


@pytest.mark.parametrize(
    ("space", "more", "sizes"),
    [
        ("{data.path: [a.zip, b.zip]}", ["data=images"], [("a.zip", 8), ("b.zip", 8)]),
        ("{data.size: [8, 16], seed: [0, 1]}", [], [(None, 8), (None, 16)]),
        ("{data.size: [8, 16], seed: {randint: [0, 9]}}", ["sweep.search=optuna", "sweep.num_trials=9"],
         [(None, 8), (None, 16)]),
        ("{seed: [0, 1]}", [], [(None, 8)]),
    ],
)  # fmt: skip
def test_one_configuration_stands_for_each_data_set(
    space: str, more: list[str], sizes: list[tuple[str | None, int]], tmp_path: Path
) -> None:
    found = datasets.configurations(asked(tmp_path, space, *more))
    assert [(config.data.path, config.data.size) for config in found] == sizes


def test_optuna_over_the_data_takes_lists(tmp_path: Path) -> None:
    wanted = asked(tmp_path, "{data.yaw_std: {uniform: [0.1, 0.3]}}", "sweep.search=optuna")
    with pytest.raises(ConfigError, match=r"data\.yaw_std: Optuna would ask for another data set for each"):
        checks._check_options(wanted)
