"""conf/ < params.yaml < command line, and errors that a person understands."""

import math
import re
import shutil
from pathlib import Path
from typing import get_origin

import pytest
import yaml

from pipeline.config.arguments import assignments
from pipeline.config.loader import as_dict, load, resolve
from pipeline.config.options import ConfigError, all_options, check_limits, check_type
from pipeline.config.presets import CONF, presets_of
from pipeline.config.schema import GROUPS
from pipeline.config.yaml_reading import PROJECT

PRESET = {
    "data": "tiny",
    "model": "tiny",
    "sampler": "heads32",
    "train": "tiny",
    "evaluate": "tiny",
    "export": "tiny",
    "tracking": "none",
}


def write_params(folder: Path, **sections: object) -> Path:
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump({"preset": PRESET, **sections}))
    return file


def preset_value(group: str, option: str) -> object:
    return yaml.safe_load((CONF / group / f"{PRESET[group]}.yaml").read_text())[option]


def test_a_preset_gives_what_nobody_overrides(tmp_path: Path) -> None:
    assert load(params=write_params(tmp_path)).train.steps == preset_value("train", "steps")


def test_params_yaml_overrides_the_preset(tmp_path: Path) -> None:
    config = load(params=write_params(tmp_path, train={"steps": 77}))
    assert config.train.steps == 77
    assert config.train.batch_size == preset_value("train", "batch_size")


def test_the_command_line_overrides_params_yaml(tmp_path: Path) -> None:
    params = write_params(tmp_path, train={"steps": 77, "batch_size": 5})
    config = load(["train.steps=78"], params=params)
    assert (config.train.steps, config.train.batch_size) == (78, 5)


def test_of_two_values_on_the_command_line_the_last_counts(tmp_path: Path) -> None:
    assert load(["seed=1", "seed=2"], params=write_params(tmp_path)).seed == 2


def test_another_preset_leaves_behind_what_was_pinned_for_the_first(tmp_path: Path) -> None:
    params = write_params(tmp_path, train={"steps": 77}, seed=9)
    resolved = resolve(["train=ffhq"], params=params)
    assert resolved.config.train.steps == 150_000
    assert resolved.config.seed == 9
    assert resolved.notes == [f"train=ffhq: values of {params} for train=tiny do not apply"]


def test_naming_the_preset_that_params_yaml_names_changes_nothing(tmp_path: Path) -> None:
    params = write_params(tmp_path, train={"steps": 77})
    assert load(["train=tiny"], params=params) == load(params=params)


def test_an_experiment_stands_in_for_params_yaml(tmp_path: Path) -> None:
    params = write_params(tmp_path, train={"steps": 77}, seed=9)
    config = load(["experiment=tiny", "train.batch_size=3"], params=params)
    assert (config.train.steps, config.seed, config.train.batch_size) == (4, 0, 3)


def test_lists_null_and_scientific_numbers_can_be_written(tmp_path: Path) -> None:
    arguments = ["export.seeds=[3,4]", "export.level=null", "train.lr_manifold=1e-6", "paths.train='a b/c'"]
    config = load(arguments, params=write_params(tmp_path))
    assert config.export.seeds == [3, 4]
    assert config.export.level is None
    assert config.train.lr_manifold == 1e-6
    assert config.paths.train == "a b/c"


def test_every_value_knows_the_file_that_set_it(tmp_path: Path) -> None:
    params = write_params(tmp_path, train={"steps": 77})
    sources = resolve(["seed=1"], params=params).sources
    assert sources["train.steps"] == str(params)
    assert sources["train.batch_size"] == "conf/train/tiny.yaml"
    assert sources["seed"] == "command line"
    assert set(sources) == set(all_options())


def test_the_working_directory_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load()
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("group", "preset"), [(g, preset) for g in GROUPS for preset in presets_of(g)])
def test_every_preset_is_complete_and_composes(group: str, preset: str, tmp_path: Path) -> None:
    load([f"{group}={preset}"], params=write_params(tmp_path))
    stated = yaml.safe_load((CONF / group / f"{preset}.yaml").read_text())
    assert {f"{group}.{name}" for name in stated} <= set(all_options())


@pytest.mark.parametrize("name", presets_of("experiment"))
def test_every_experiment_composes_and_says_how_to_run_it(name: str) -> None:
    load([f"experiment={name}"])
    first_line = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()[0]
    assert first_line.startswith("# python -m pipeline.")
    assert f"experiment={name}" in first_line


def test_an_experiment_copied_to_params_yaml_gives_the_same_run() -> None:
    for name in presets_of("experiment"):
        assert load(params=CONF / "experiment" / f"{name}.yaml") == load([f"experiment={name}"])


def test_the_committed_params_are_the_experiment_heads32() -> None:
    assert as_dict(load(params=PROJECT / "params.yaml")) == as_dict(load(["experiment=heads32"]))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("train.stepz=3", "command line: there is no option train.stepz; did you mean train.steps?"),
        ("points=3", "command line: there is no option points; did you mean sampler.points?"),
        ("trian.steps=3", "command line: there is no option trian.steps; did you mean train.steps?"),
        ("train.steps=many", "command line: train.steps = 'many', but it takes a whole number, at least 0"),
        ("train.steps=1.5", "command line: train.steps = 1.5, but it takes a whole number, at least 0"),
        ("train.mirror=maybe", "command line: train.mirror = 'maybe', but it takes true or false"),
        ("train.betas=[a]", "command line: train.betas = ['a'], but it takes a list of numbers"),
        ("train.betas=[0.9]", "command line: train.betas = [0.9]: it takes 2 numbers"),
        ("train.batch_size=0", "command line: train.batch_size = 0, but it takes a whole number, at least 1"),
        ("train.lr_manifold=nan", "command line: train.lr_manifold = nan, but it takes a number, at least 0"),
        ("train.steps=null", "command line: train.steps = null, but it takes a whole number, at least 0"),
        (
            "sampler.kind=sphere",
            "stratified, hierarchical, neusample; did you mean spheres?",
        ),
        ("sampler.points=0", "command line: sampler.points = 0, but it takes a whole number, at least 1"),
        ("sampler.points=1", "command line: sampler.points = 1, which is the background plane alone"),
        ("data.size=33", "command line: data.size = 33 is no power of two"),
        ("data.near=2", "command line: data.near = 2.0, which must be less than data.far = 1.12"),
        ("data.fov_degrees=null", "data.fov_degrees = null, but generated images need an angle"),
        ("data.poses=fitted", "data.poses = fitted, but generated images need gaussian or spherical"),
        ("data.background=white", "data.background = white, but generated heads have plane"),
        ("sampler.first_level=1", "command line: sampler.first_level = 1.0, which must be greater than"),
        ("export.level=1", "command line: export.level = 1.0: an opacity lies between 0 and 1"),
        ("export.seeds=[0,x]", "command line: export.seeds = [0, 'x'], but it takes a list of whole numbers"),
        ("export.seeds=abc", "command line: export.seeds = 'abc', but it takes a list of whole numbers"),
        ("export.seeds=[]", "command line: export.seeds = []: give at least one seed, or a file of latents"),
        ("export.seeds=[-1]", "export.seeds = [-1]: seeds are different whole numbers from 0"),
        ("export.seeds=[3,3]", "export.seeds = [3, 3]: seeds are different whole numbers from 0"),
        (
            "export.formats=[objj]",
            "export.formats = ['objj']: there is no objj, but glb, ply, obj; did you mean",
        ),
        ("export.videos=[avi]", "export.videos = ['avi']: there is no avi, but gif, mp4"),
        ("export.faces=3", "command line: export.faces = 3: a closed surface has 4 triangles or more"),
        ("export.texture=15", "command line: export.texture = 15: "),
        ("export.texture=20", "export.texture = 20: 400 triangles take at least 29"),
        ("export.fps=60", "export.fps = 60: GIF viewers show at most 50 images per second"),
        ("data=head32", "there is no conf/data/head32.yaml, but"),
        ("experiment=tny", "there is no conf/experiment/tny.yaml, but"),
        ("preset.data=tiny", "command line: preset.data: choose a preset as data=tiny"),
        ("+train.x=1", "options can be set, not added or removed"),
        ("~train.steps", "options can be set, not added or removed"),
        ("train.steps=1,2", "gives several values; one run takes one"),
        ("train.steps", "is not of the form group.option=value"),
        ("seed.x=1", "there is no option seed.x"),
    ],
)
def test_a_bad_argument_is_named_with_its_remedy(argument: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load([argument], params=write_params(tmp_path))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"train": {"stepz": 3}}, "there is no option train.stepz; did you mean train.steps?"),
        ({"trian": {"steps": 3}}, "there is no option trian.steps; did you mean train.steps?"),
        ({"train": {"steps": "many"}}, "train.steps = 'many', but it takes a whole number"),
        ({"train": 3}, "train = 3, but train is a section"),
        ({"preset": {**PRESET, "modle": "tiny"}}, "preset.modle: there is no such group; did you mean"),
        ({"preset": {"data": "tiny"}}, "preset.model is missing; there are"),
        ({"preset": {**PRESET, "model": "tinny"}}, "there is no conf/model/tinny.yaml"),
        ({"preset": None}, "the section preset: is missing"),
    ],
)
def test_a_mistake_in_params_yaml_is_named_with_the_file(
    sections: dict[str, object], message: str, tmp_path: Path
) -> None:
    params = write_params(tmp_path, **sections)
    with pytest.raises(ConfigError) as error:
        load(params=params)
    assert str(params) in str(error.value)
    assert message in str(error.value)


def test_broken_yaml_is_named(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("preset: [")
    with pytest.raises(ConfigError, match=r"params\.yaml is no valid YAML: .*line 2"):
        load(params=params)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: there is no such file"):
        load(params=tmp_path / "nowhere.yaml")


RESOLVERS = (
    "${oc.env:SECRET}",
    "${oc.decode:'1'}",
    "${hydra:runtime.cwd}",
    "a${train.steps}",
    "${train}",
    "${}",
)


@pytest.mark.parametrize("text", RESOLVERS)
@pytest.mark.parametrize("option", ["tracking.run", "train.steps", "data.path", "sampler.delta"])
def test_no_file_and_no_argument_reads_the_environment(
    text: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "7")
    group, name = option.split(".")
    for arguments, sections in ([f"{option}={text}"], {}), ([], {group: {name: text}}):
        with pytest.raises(ConfigError) as error:
            load(arguments, params=write_params(tmp_path, **sections))
        assert text in str(error.value) and option in str(error.value)


def test_nor_does_a_list_or_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    preset = conf / "tracking/none.yaml"
    preset.write_text(preset.read_text().replace("run: null", "run: ${oc.env:HOME}"))
    with pytest.raises(ConfigError, match="nothing else is filled in"):
        load(["train.betas=[0,'${oc.env:HOME}']"])
    monkeypatch.setattr("pipeline.config.presets.CONF", conf)
    with pytest.raises(ConfigError, match=r"none.yaml: tracking.run = .*nothing else is filled in"):
        load(params=write_params(tmp_path))


def test_a_value_may_be_that_of_another_option(tmp_path: Path) -> None:
    params = write_params(
        tmp_path,
        train={"steps": "${train.log_every}", "log_every": "${seed}"},
        tracking={"run": "${data.size}"},
    )
    config = load(["seed=6"], params=params)
    assert (config.train.steps, config.train.log_every, config.tracking.run) == (6, 6, "16")
    for text, problem in (
        ("${train.stepz}", "there is no option train.stepz; did you mean train.steps?"),
        ("${train.steps}", "refers to itself"),
        ("${data.kind}", "train.steps = 'heads', but it takes a whole number"),
    ):
        with pytest.raises(ConfigError, match=re.escape(problem)):
            load([f"train.steps={text}"], params=params)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("paths", "train_data", "/own/folder"),
        ("paths", "train", "runs/mine"),
        ("paths", "checkpoints", "../elsewhere"),
        ("paths", "model", "/own/model"),
        ("paths", "model", "runs/../../model"),
        ("tracking", "uri", "http://alice:secret@host"),
        ("tracking", "experiment", "${tracking.uri}"),
        ("train", "launch", {"main_address": "host.of.somebody"}),
    ],
)
def test_only_the_projects_own_file_says_where_this_machine_writes_and_connects(
    section: str, name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = write_params(tmp_path, **{section: {name: value}})
    with pytest.raises(ConfigError) as error:
        load(params=params)
    assert f"{params}: {section}.{name}" in str(error.value)
    assert "give it on the command line" in str(error.value)
    assert "secret" not in str(error.value)
    load(["tracking.uri=x"], params=params, own=True)
    monkeypatch.setattr("pipeline.config.loader.PROJECT", tmp_path)
    load(["tracking.uri=x"])


def test_what_is_as_in_the_project_may_stand_in_anybodys_file(tmp_path: Path) -> None:
    paths = {**yaml.safe_load((CONF / "config.yaml").read_text())["paths"], "model": "runs/train/best"}
    assert (
        load(params=write_params(tmp_path, paths=paths, tracking={"uri": None})).paths.model == paths["model"]
    )


def test_an_experiment_is_a_name_and_no_path() -> None:
    for name in ("../experiment/tiny", "/etc/passwd", "tiny.yaml"):
        with pytest.raises(ConfigError, match=r"experiment=.*there is no conf/experiment/"):
            load([f"experiment={name}"])


def test_texts_of_files_stay_as_typed_and_a_home_is_filled_into_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of/me")
    params = write_params(tmp_path)
    typed = "data: {path: 2024_11_05}\ntracking: {run: 1e5, experiment: true}\ntrain: {precision: no}\n"
    params.write_text(params.read_text() + typed)
    config = load(params=params)
    assert (config.data.path, config.tracking.run, config.tracking.experiment) == (
        "2024_11_05",
        "1e5",
        "true",
    )
    assert config.train.precision == "no"
    params.write_text(params.read_text().replace("2024_11_05", "~/a").replace("1e5", "~/a"))
    config = load(["paths.train=~/b c", "export.latents=~nobody-here/x"], params=params)
    assert (config.data.path, config.tracking.run) == ("/home/of/me/a", "~/a")
    assert (config.paths.train, config.export.latents) == ("/home/of/me/b c", "~nobody-here/x")


def test_an_option_stands_in_a_file_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.steps is given twice"):
        load(params=write_params(tmp_path, **{"train.steps": 3, "train": {"steps": 4}}))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300", "-1e300", "1e10"])
def test_numbers_are_finite_and_of_this_world(number: str, tmp_path: Path) -> None:
    for name, option in all_options().items():
        if not {int, float} & set(option.types) or (name, number) == ("train.grad_clip", "inf"):
            continue
        text = number if get_origin(option.type) is not list else f"[0,{number}]"
        ((_, value),) = assignments([f"{name}={text}"])
        with pytest.raises(ConfigError) as error:
            check_type(name, value, "here")
            check_limits(name, value, "here")
        assert f"here: {name} = " in str(error.value) and "but it takes" in str(error.value), name
        if float in option.types and not math.isfinite(float(number)):
            assert str(error.value).endswith("and a finite one")
    assert load(["train.grad_clip=inf"], params=write_params(tmp_path)).train.grad_clip == math.inf


def test_whole_numbers_of_no_machine_are_refused() -> None:
    for name, option in all_options().items():
        if int in option.types:
            with pytest.raises(ConfigError, match=re.escape(f"{name} = ")):
                check_limits(name, [10**30] if get_origin(option.type) is list else 10**30, "here")


def test_every_option_has_a_meaning() -> None:
    for option in all_options().values():
        assert option.metadata["meaning"], option.name
