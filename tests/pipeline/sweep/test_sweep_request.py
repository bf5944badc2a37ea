"""Requests: files and command lines become searches; what cannot be done is said before anything starts."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gram.rendering.samplers import SAMPLERS
from pipeline.cli import progress
from pipeline.cli.command import main
from pipeline.config.arguments import assignment, assignments
from pipeline.config.options import ConfigError
from pipeline.config.presets import presets_of
from pipeline.runtime import build, scene
from pipeline.sweep import checks, folder, request
from pipeline.sweep import stage as sweep
from pipeline.sweep.request import Request
from pipeline.sweep.tune.cluster import connection

TINY = """
experiment: tiny
fixed: {sampler.delta: null, train.steps: 8, train: {measure_every: 4}}
space: {sampler.points: [4, 6]}
"""


def read(folder: Path, *more: str, text: str = TINY) -> Request:
    file = folder / "mine.yaml"
    file.write_text(text)
    return request.read([f"sweep={file}", f"sweep.folder={folder}/sweeps", *more], None)


def test_file_and_command_line_make_the_search(tmp_path: Path) -> None:
    asked = read(
        tmp_path, "train.steps=12", "sweep.gpus=0.5", "sweep.space.seed=[1,2]", "ray.address=a.b:6379"
    )
    checks.check(asked)
    assert asked.points == [{"sampler.points": p, "seed": s} for p in (4, 6) for s in (1, 2)]
    assert (asked.name, asked.folder) == ("mine", (tmp_path / "sweeps/mine").resolve())
    assert asked.settings.sweep.gpus == 0.5 and asked.settings.ray.address == "a.b:6379"
    config = asked.compose({"sampler.points": 6, "seed": 2}).config
    assert (config.train.steps, config.train.measure_every, config.sampler.points, config.seed) == (
        12,
        4,
        6,
        2,
    )
    assert config.data.size == asked.config.data.size == 16


@pytest.mark.parametrize("name", presets_of("sweep"))
def test_searches_that_are_shipped_can_be_made(name: str) -> None:
    asked = request.read([f"sweep={name}"], None)
    checks.check(asked)
    assert asked.num_trials > 5


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["sweep.space.sampler.points=[0]"], "space: sampler.points = 0: "),
        (["sweep.space.sampler.kind=[manifold,planez]"], "'planez', but it takes one of"),
        (["sweep.space.sampler.points=[]"], "no value in the list"),
        (["sweep.space.sampler.first_level=[1000]"], "no ray intersects the isosurfaces"),
        (["sweep.space.train.lr_generator=[fast]"], "'fast', but it takes a number"),
        (["sampler.points=4"], "sampler.points is searched: set its values, sweep.space.sampler.points="),
        (["sweep.serch=random"], "there is no option sweep.serch; did you mean sweep.search?"),
        (["sweep.search=randon"], "'randon', but it takes one of grid, random, optuna; did you mean random?"),
        (["sweep.search=random"], "set sweep.num_trials"),
        (["sweep.num_trials=3"], "a grid has as many trials as combinations"),
        (["sweep.cpus=0"], "sweep.cpus = 0.0, but it takes a number, above 0"),
        (["sweep.retries=many"], "but it takes a whole number"),
        (["train.measure_every=0"], "nothing tells which trial is best"),
        (["sweep.scheduler=pbt"], "space: sampler.points: pbt changes values while a trial goes on"),
        (["train.launch.machines=2"], "a trial has one machine"),
        (["sweep.name=../x"], "it names a folder"),
        (["sweep.space={}"], "sweep.space"),
        (["sampler.kind=planes", "sweep.space.sampler.num_samples=[4,6]"], "sampler.kind = planes does, but"),
        (["sampler.kind=stratified", "sweep.space.sampler.delta=[0.1,0.2]"], "space: sampler.delta: it d"),
        (["sampler.kind=planes", "sweep.space.model.manifold_hidden=[8,9]"], "space: model.manifold_hidden:"),
        (["sampler.kind=spheres", "sweep.space.train.lr_manifold=[1e-3,1e-4]"], "but manifold, neusample al"),
        (
            ["sweep.search=optuna", "sweep.num_trials=3", "sweep.space.sampler.kind=[planes,stratified]",
             "sweep.space.model.ray_layers={randint:[1,3]}"],
            "sampler.kind = planes or stratified does",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(tmp_path: Path, more: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checks.check(read(tmp_path, *more))
    assert said in str(caught.value)
    assert not (tmp_path / "sweeps").exists()


def test_what_some_samplers_use_may_be_searched_with_others(tmp_path: Path) -> None:
    both = "sweep.space.sampler.kind=[planes,manifold]"
    checks.check(read(tmp_path, both, "sweep.space.sampler.num_samples=[4,6]"))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_samplers_use_what_is_said_of_them(kind: str, tmp_path: Path) -> None:
    config = read(tmp_path, f"sampler.kind={kind}").config
    meta, usual = scene.planned_meta(config.data), asdict(config.sampler)
    before = build.sampler_settings(config, meta)
    for name in set(usual) - {"kind", "points"}:
        other = "refined" if name == "mode" else 7
        changed = replace(config, sampler=replace(config.sampler, **{name: other}))
        matters = build.sampler_settings(changed, meta) != before
        assert matters == (kind in (checks.users_of(f"sampler.{name}") or ())), name


def test_a_training_beyond_this_machine_is_named_before_a_cluster_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = ["sweep.space.train.batch_size=[4,8000000]", "train.measure_every=4", "tracking=none"]
    asked = read(tmp_path, *large, "sweep.space.sampler.points=[6]")
    words = [word for word in asked.typed if word != "--force"]

    def connected(address: str | None) -> None:
        raise ValueError("a cluster was to start")

    monkeypatch.setattr(connection, "connected", connected)
    assert main(sweep.STAGE, sweep.run, words) == 1
    said = capsys.readouterr().err
    assert "space: sampler.points = 6, train.batch_size = 8000000: " in said and said.count("\n") == 1
    assert "of memory or more" in said and "--force" in said
    assert main(sweep.STAGE, sweep.run, [*words, "--force"]) == 1
    assert "a cluster was to start" in capsys.readouterr().err
    checks.check(read(tmp_path, *large, "ray.address=elsewhere:1"), room=True)


def test_checking_many_points_tells_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = read(tmp_path, "sweep.space.seed=[1,2]")
    checks.check(asked)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    checks.check(asked)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("sweep: points checked 0/4") and said[-1].startswith(
        "sweep: points checked 4/4"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("space: {}", "space is empty"),
        ("experiment: tiny", "space is empty"),
        ("spcae: {seed: [1]}", "spcae: a sweep has no such entry; did you mean space?"),
        ("space: {seed: [1]}\nfixed: {train.stepz: 3}", "there is no option train.stepz"),
        ("space: {seed: [1]}\nexperiment: tinny", "there is no conf/experiment/tinny.yaml"),
        ("space: {seed: [1]}\nray: {adress: x}", "there is no option ray.adress; did you mean ray.address?"),
        ("[", "no valid YAML"),
    ],
)
def test_a_wrong_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text=text)
    assert said in str(caught.value)


def test_an_unknown_sweep_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no conf/sweep/quik.yaml, but .*; did you mean quick\?"):
        request.read(["sweep=quik"], None)


@pytest.mark.parametrize(
    "value", [None, True, 3, 1e-5, "a'b", "x\\", "x\\'y", "C:\\new", "a,b=c", "", [0.0, 1e-5], ["a", "b c"]]
)
def test_assignments_say_what_they_were_given(value: object) -> None:
    assert assignments([assignment("train.betas", value)]) == [("train.betas", value)]


def test_a_sweep_remembers_what_was_typed() -> None:
    given = ["sweep=quick", "sweep.name=mine", "sweep.space.sampler.points=[6, 24]", "train.steps=8"]
    typed = "sweep=quick sweep.name=mine 'sweep.space.sampler.points=[6, 24]' train.steps=8"
    asked = folder.described(request.read(given, None))
    assert asked["command"] == f"python -m pipeline.sweep {typed}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            TINY.replace("sampler.delta: null", "paths.train: /own/folder"),
            "fixed: paths.train = '/own/folder'",
        ),
        (
            TINY.replace("sampler.delta: null", "tracking.uri: 'http://a:b@host'"),
            "tracking.uri = 'http://***@host'",
        ),
        (TINY.replace("sampler.points: [4", "paths.train: ['a', 'b"), "is no valid YAML"),
        (TINY.replace("sampler.points: [4, 6]", "paths.train: [a, b]"), "space: paths.train: it says where"),
        (TINY + "folder: /own/folder\n", "sweep.folder = '/own/folder'"),
        (TINY + "ray: {address: somebody:6379}\n", "ray.address = 'somebody:6379'"),
        (TINY.replace("sampler.delta: null", "tracking.run: '${oc.env:HOME}'"), "nothing else is filled in"),
        (TINY.replace("experiment: tiny", "experiment: ../experiment/tiny"), "there is no conf/experiment/"),
    ],
)
def test_a_sweep_of_somebody_else_says_not_where_this_machine_writes_and_connects(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text=text)
    assert said in str(error.value)


def test_texts_of_a_sweep_stay_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TINY.replace("sampler.points: [4, 6]", "data.path: [2024_11_05, 'a, b', 1e5]") + "name: 007\n"
    asked = read(tmp_path, text=text)
    assert asked.name == "007"
    assert [asked.compose(point).config.data.path for point in asked.points or []] == [
        "2024_11_05",
        "a, b",
        "1e5",
    ]
    with pytest.raises(ConfigError, match=r"20241105 is no text: write it in quotes"):
        read(tmp_path, "sweep.space.data.path=[2024_11_05]")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(tmp_path, "sweep.folder=~/a b", "sweep.name=1e5").folder == tmp_path / "a b/1e5"
