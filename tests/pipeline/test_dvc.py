"""dvc.yaml says what the stages really read, import and write."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.loader import load
from pipeline.config.presets import presets_of
from pipeline.config.schema import GROUPS
from pipeline.config.yaml_reading import PROJECT

DVC = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
STAGES: dict[str, dict[str, Any]] = DVC["stages"]


def names(entries: list[Any]) -> list[str]:
    """Paths of outs, metrics or plots, which are strings or one-entry mappings."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def outputs(stage: str) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in names(STAGES[stage].get(kind, []))]


def loaded_modules(stage: str) -> set[str]:
    """Files of gram, and of what builds it, that a stage has loaded when it starts.

    gram's own __init__ is left out: it loads everything for those who use gram by hand.
    """
    program = (
        "import sys, types\n"
        "bare = types.ModuleType('gram')\n"
        "bare.__path__ = ['gram']\n"
        "sys.modules['gram'] = bare\n"
        f"import pipeline.{stage}{'.stage' if (PROJECT / 'pipeline' / stage).is_dir() else ''}\n"
        "for name, module in sys.modules.items():\n"
        "    if name.startswith('gram.') or name in ('pipeline.runtime.build', 'pipeline.runtime.scene'):\n"
        "        print(module.__file__)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    files = {str((PROJECT / line).relative_to(PROJECT)) for line in done.stdout.split()}
    return {file for file in files if len((PROJECT / file).read_text().splitlines()) > 1}  # docstrings alone


def covered(path: str, dependencies: list[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in dependencies)


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_exists_or_is_made_by_an_earlier_stage(stage: str) -> None:
    made: list[str] = []
    for name, content in STAGES.items():
        if name == stage:
            missing = [d for d in content["deps"] if not (PROJECT / d).exists() and d not in made]
            assert missing == []
        made += outputs(name)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_it_loads(stage: str) -> None:
    dependencies = STAGES[stage]["deps"]
    assert {path for path in loaded_modules(stage) if not covered(path, dependencies)} == set()


@pytest.mark.parametrize("stage", ["prepare", "train"])
def test_an_expensive_stage_depends_on_nothing_of_gram_that_it_does_not_load(stage: str) -> None:
    loaded = loaded_modules(stage)
    dependencies = [one for one in STAGES[stage]["deps"] if one.startswith("gram/")]
    assert len(dependencies) <= 10
    assert [one for one in dependencies if not any(covered(file, [one]) for file in loaded)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_runs_the_stage_and_its_own_file_is_a_dependency(stage: str) -> None:
    assert STAGES[stage]["cmd"] == f"python -m pipeline.{stage}"
    assert {f"pipeline/{stage}.py", f"pipeline/{stage}"} & set(STAGES[stage]["deps"])


def test_stages_write_where_the_configuration_says() -> None:
    paths = load().paths
    assert outputs("prepare") == [paths.train_data, paths.test_data]
    for stage, folder in (("train", paths.train), ("evaluate", paths.evaluate), ("export", paths.export)):
        assert all(path == folder or path.startswith(f"{folder}/") for path in outputs(stage)), stage
    assert paths.model in outputs("train")
    assert paths.model in STAGES["evaluate"]["deps"]
    assert not any(covered(paths.checkpoints, [path]) for stage in STAGES for path in outputs(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_tracked_parameters_exist_for_every_preset_and_experiment(stage: str) -> None:
    experiments = [PROJECT / "conf/experiment" / f"{name}.yaml" for name in presets_of("experiment")]
    for file in [PROJECT / "params.yaml", *experiments]:
        content = yaml.safe_load(file.read_text())
        for entry in STAGES[stage]["params"]:
            if isinstance(entry, dict):
                (template,) = entry
                group = re.fullmatch(r"conf/(\w+)/\$\{preset\.\1\}\.yaml", template)
                assert group is not None, template
                assert (PROJECT / "conf" / group[1] / f"{content['preset'][group[1]]}.yaml").is_file()
            else:
                value = content
                for part in entry.split("."):
                    assert part in value, f"{entry} in {file}"
                    value = value[part]


def test_every_group_that_a_stage_tracks_is_tracked_whole() -> None:
    """The pinned section, the preset's name and the preset's file belong together."""
    for stage, content in STAGES.items():
        entries = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in content["params"]]
        for group in GROUPS:
            parts = [group, f"preset.{group}", f"conf/{group}/${{preset.{group}}}.yaml"]
            assert len({part in entries for part in parts}) == 1, (stage, group)


def test_a_change_of_training_does_not_make_new_data() -> None:
    assert not any("train" in str(entry) or "model" in str(entry) for entry in STAGES["prepare"]["params"])


@pytest.mark.parametrize("option", ["train.steps", "sampler.points"])
def test_what_dvc_exp_run_sets_is_pinned_in_params_yaml(option: str) -> None:
    group, name = option.split(".")
    assert name in PARAMS[group]


def test_options_that_are_not_pinned_take_a_plus_with_dvc(tmp_path: Path) -> None:
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides  # of dvc exp run -S

    file = tmp_path / "params.yaml"
    shutil.copyfile(PROJECT / "params.yaml", file)
    with pytest.raises(DvcException, match="Invalid `--set-param` value"):
        apply_overrides(file, ["train.r1_weight=2"])
    apply_overrides(file, ["+train.r1_weight=2", "+data.path='2024_11_05'", "train.steps=7"])
    config = load(params=file)
    assert (config.train.r1_weight, config.train.steps, config.train.batch_size) == (2.0, 7, 16)
    assert config.data.path == "2024_11_05"
    assert "dvc exp run -S +train.r1_weight=2" in (PROJECT / "README.md").read_text()
