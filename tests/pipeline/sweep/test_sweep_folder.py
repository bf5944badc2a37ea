"""The folder of a sweep is one driver's, and what else lies in it, and a params.yaml elsewhere, stay."""

import os
from pathlib import Path

import pytest
from test_sweep_request import read

from gram.system.locks import BusyError
from pipeline.config.options import ConfigError, affects_result, all_options
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import folder, winner
from pipeline.sweep.settings import Settings
from pipeline.sweep.sweep_yaml import FILE as SWEEP_YAML
from pipeline.sweep.trials import TRIALS


def test_a_second_driver_is_told_who_is_at_it(tmp_path: Path) -> None:
    asked = read(tmp_path)
    with folder.opened(asked, resume=False) as opened:
        told = rf"mine is in use by process {os.getpid()} \(sweep\)"
        with pytest.raises(BusyError, match=told), folder.opened(asked, resume=True):
            pass
        assert (opened / SWEEP_YAML).exists()
    assert [path.name for path in opened.iterdir()] == [SWEEP_YAML]


def test_a_sweep_that_did_not_begin_leaves_nothing_but_what_is_the_user_s(tmp_path: Path) -> None:
    asked = read(tmp_path)
    with pytest.raises(ValueError, match="no data"), folder.opened(asked, resume=False):
        raise ValueError("no data")
    assert not asked.folder.exists()
    with pytest.raises(ValueError, match="no data"), folder.opened(asked, resume=False) as opened:
        (opened / "notes.txt").write_text("mine")
        raise ValueError("no data")
    assert [path.name for path in asked.folder.iterdir()] == ["notes.txt"]


def test_a_sweep_that_cannot_go_on_stays(tmp_path: Path) -> None:
    asked = read(tmp_path)
    with folder.opened(asked, resume=False) as opened:
        (opened / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="no cluster"), folder.opened(asked, resume=True):
        raise ValueError("no cluster")
    assert sorted(path.name for path in opened.iterdir()) == ["notes.txt", SWEEP_YAML]
    assert not (opened / TRIALS).exists()


def test_machines_and_the_number_of_trials_alone_may_change_when_a_sweep_goes_on(tmp_path: Path) -> None:
    free = {name for name in all_options(Settings) if not affects_result(name, Settings)}
    names = ("folder", "num_trials", "max_concurrent", "cpus", "gpus", "retries")
    assert free == {f"sweep.{name}" for name in names}
    with folder.opened(read(tmp_path), resume=False):
        pass
    changed = ("sweep.max_concurrent=3", "sweep.cpus=2", "sweep.gpus=0", "sweep.retries=4")
    folder.require_right(read(tmp_path, *changed), resume=True)
    with pytest.raises(ConfigError, match=r"another sweep: sweep.seed = 7, which was 0\. Ask for the same"):
        folder.require_right(read(tmp_path, *changed, "sweep.seed=7"), resume=True)


def test_the_winner_is_written_to_where_a_link_at_params_yaml_leads(tmp_path: Path) -> None:
    before = (PROJECT / "params.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(before)
    (tmp_path / "params.yaml").symlink_to("mine.yaml")
    (tmp_path / ".params.yaml.new").write_text("mine")
    (tmp_path / "best.yaml").write_text(before.replace("data: heads32", "data: heads64"))
    copy = winner.apply(tmp_path / "best.yaml", tmp_path / "params.yaml")
    assert copy is not None and copy.read_text() == before
    assert (tmp_path / "params.yaml").is_symlink()
    assert "data: heads64" in (tmp_path / "mine.yaml").read_text()
    assert (tmp_path / ".params.yaml.new").read_text() == "mine"
