"""Bad input to sweeps, case by case: a line that names what was given, nothing changed, no cluster."""

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

from pipeline.cli.command import main
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import folder, request, winner
from pipeline.sweep import stage as sweep
from pipeline.sweep.report import page, record
from pipeline.sweep.request import Request
from pipeline.sweep.sweep_yaml import FILE as SWEEP_YAML
from pipeline.sweep.trials import FILE, TRIALS, Trial, write_trial
from pipeline.sweep.tune.cluster import connection

SECONDS = 10
TINY = """
experiment: tiny
fixed: {train.measure_every: 2, tracking.kind: none}
"""
SPACE = "space: {seed: [0, 1]}\n"
PARAMS = (PROJECT / "conf/experiment/tiny.yaml").read_text()
DEEP = "[" * 800
LAUGHS = "a: &a [1, 1]\nb: &b [*a, *a]\n" + "".join(
    f"c{k}: &c{k} [*{'b' if k == 0 else f'c{k - 1}'}, *b]\n" for k in range(30)
)


@pytest.fixture(autouse=True)
def _bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ten seconds of computing a case, whatever else the machine does, and no cluster."""

    def late(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"not refused within {SECONDS} s of computing")

    def started(address: str | None) -> None:
        pytest.fail("a cluster was to start")

    monkeypatch.setattr(connection, "connected", started)
    monkeypatch.setattr(connection, "PROBE_SECONDS", 0.5)
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def contents(place: Path) -> dict[str, bytes | None]:
    """Path -> bytes of all files below, None for folders."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(place.rglob("*"))}


def refused(capsys: pytest.CaptureFixture[str], place: Path, *words: str) -> str:
    """The line of a command that ends with 1 or 2 and leaves everything as it was."""
    capsys.readouterr()
    before, params = contents(place), (PROJECT / "params.yaml").read_bytes()
    code = main(sweep.STAGE, sweep.run, words)
    said = capsys.readouterr().err
    assert code in (1, 2), said
    assert said.count("\n") == 1 and len(said) < 1000, said
    assert contents(place) == before
    assert (PROJECT / "params.yaml").read_bytes() == params
    return said


def refused_by(place: Path, work: Callable[[], object]) -> str:
    """The line of what a stage calls, which leaves everything as it was."""
    before = contents(place)
    with pytest.raises((ValueError, OSError)) as caught:
        work()
    said = str(caught.value)
    assert "\n" not in said and len(said) < 1000, said
    assert contents(place) == before
    return said


def words_for(place: Path, text: str = TINY + SPACE, name: str = "mine") -> list[str]:
    file = place / f"{name}.yaml"
    file.write_text(text)
    return [f"sweep={file}", f"sweep.folder={place}/sweeps"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("sweep.name=''", "sweep.name = ''"),
        ("sweep.name='a/b'", "'a/b'"),
        ("sweep.name='../../x'", "'../../x'"),
        ("sweep.name=.hidden", "'.hidden'"),
        ("sweep.name=data", "'data'"),
        ("sweep.name='a\x01b'", "'a\\x01b'"),
        ("sweep.name=" + "n" * 256, "nnnnn...: 256 bytes, but at most 200"),
        ("sweep.folder=''", "sweep.folder = ''"),
        ("sweep.folder=/dev/null", "sweep.folder = /dev/null"),
        ("sweep.folder=/dev/null/x", "sweep.folder = /dev/null/x"),
        ("sweep.folder=/" + "n" * 5000, "but an option takes at most 4096"),
        ("sweep.objective=''", "sweep.objective = ''"),
        ("sweep.search=tpe", "'tpe'"),
        ("sweep.scheduler=hyperband", "'hyperband'"),
        ("sweep.num_trials=0 sweep.search=random", "sweep.num_trials = 0"),
        ("sweep.num_trials=1000000000 sweep.search=random", "sweep.num_trials = 1000000000"),
        ("sweep.num_trials=1e9 sweep.search=optuna", "sweep.num_trials = 1000000000.0"),
        ("sweep.cpus=nan", "sweep.cpus = nan"),
        ("sweep.cpus=inf", "sweep.cpus = inf"),
        ("sweep.cpus=-1", "sweep.cpus = -1"),
        ("sweep.gpus=nan", "sweep.gpus = nan"),
        ("sweep.gpus=1.5", "sweep.gpus = 1.5"),
        ("sweep.retries=1000000000", "sweep.retries = 1000000000"),
        ("sweep.reduction=1", "sweep.reduction = 1"),
        ("sweep.grace_steps=0", "sweep.grace_steps = 0"),
        ("sweep.max_concurrent=-1", "sweep.max_concurrent = -1"),
        ("sweep.seed=-1", "sweep.seed = -1"),
        ("sweep.space.seed=3", "seed = 3"),
        ("sweep.space.seed=[]", "seed"),
        ("sweep.space.seed=[0,0]", "[0, 0]"),
        ("sweep.space.seed=[a]", "seed = a"),
        ("sweep.space.seed=[[1]]", "seed = [1]"),
        ("sweep.space.seed=[null]", "seed"),
        ("sweep.space.seed={uniform:[0,9]}", "use randint"),
        ("sweep.space.seed={randint:[0,99999999999999999999]}", "99999999999999999999"),
        ("sweep.space.seed={randint:[5,1]}", "[5, 1]"),
        ("sweep.space.seed={choice:3}", "seed"),
        ("sweep.space.seed={gaussian:[0,1]}", "gaussian"),
        ("sweep.space.train.lr_generator={uniform:[0,inf]}", "inf"),
        ("sweep.space.train.lr_generator={uniform:[nan,1]}", "nan"),
        ("sweep.space.train.lr_generator={loguniform:[0,1]}", "[0, 1]"),
        ("sweep.space.train.lr_generator={uniform:[1]}", "[1]"),
        ("sweep.space.paths.train_data=[a,b]", "paths.train_data"),
        ("sweep.space.tracking.uri=[a,b]", "tracking.uri"),
        ("sweep.space.evaluate.psi=[0.5,1]", "evaluate.psi"),
        ("sweep.space.train.threads=[1,2]", "train.threads"),
        ("sweep.space.data.processes=[1,2]", "data.processes"),
        (
            "sweep.space.data.yaw_std={uniform:[0.1,0.3]} sweep.search=optuna sweep.num_trials=4",
            "data.yaw_std",
        ),
        ("sweep.space.nothing=[1,2]", "nothing"),
        ("sweep.space={}", "sweep.space"),
        ("seed=4", "seed is searched"),
        ("train.launch.machines=2", "train.launch.machines"),
        ("ray.address=here", "ray.address = here"),
        ("ray.address=''", "ray.address = "),
        ("ray.address=127.0.0.1:99999", "127.0.0.1:99999"),
        ("ray.address=ray://127.0.0.1:10001", "ray://127.0.0.1:10001"),
        ("ray.address=127.0.0.1:1", "127.0.0.1:1: nothing answers"),
        ("ray.address=no.such.host.invalid:6379", "no.such.host.invalid:6379"),
        ("--resume", "there is no sweep in"),
        ("--resme", "--resme"),
    ],
)
def test_a_bad_option_is_named(
    more: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in refused(capsys, tmp_path, *words_for(tmp_path), *more.split(" "))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "space is empty"),
        ("- 1", "mapping"),
        (DEEP, "mine.yaml"),
        ("\0", "mine.yaml"),
        (TINY + "space: 3", "space"),
        (TINY + "space: {seed: {randint: [0, 1], uniform: [0, 1]}}", "seed"),
        (TINY + "space: {seed: [0, 1], seed.x: [1]}", "seed.x"),
        (TINY + "space: {1: [2]}", "1"),
        (TINY + "space: {train: {lr_generator: {uniform: [0, .inf]}}}", "inf"),
        (TINY + "space:\n" + "".join(f"  model.{name}: {[*range(1, 101)]}\n" for name in (
            "z_dim", "mapping_width", "mapping_layers", "hidden")), "100 x 100 x 100 x 100 = 100000000 t"),
        (TINY + SPACE + "cpus: many", "cpus = 'many'"),
        (TINY + SPACE + "ray: 3", "ray"),
        (TINY + SPACE + "name: [1, 2]", "name"),
        ("experiment: [1]\n" + SPACE, "experiment"),
        ("experiment: tiny\nfixed: [1]\n" + SPACE, "fixed"),
        ("experiment: tiny\nfixed: {train: 3}\n" + SPACE, "train"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named(
    text: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in refused(capsys, tmp_path, *words_for(tmp_path, text))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Request:
    return request.read(words_for(tmp_path_factory.mktemp("asked")), None)


@pytest.fixture
def half_done(asked: Request) -> Iterator[Path]:
    """The folder of a sweep that can go on."""
    write_trial(
        asked.folder / TRIALS / "000-seed_0", Trial(name="000-seed_0", values={"seed": 0}, points_per_ray=5)
    )
    (asked.folder / SWEEP_YAML).write_text(yaml.safe_dump(folder.described(asked)))
    folder.require_right(asked, resume=True)
    yield asked.folder
    shutil.rmtree(asked.folder)


def test_a_folder_that_is_damaged_is_named_by_the_command(
    asked: Request, half_done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (half_done / SWEEP_YAML).write_text("{")
    assert str(half_done / SWEEP_YAML) in refused(capsys, half_done, *asked.typed, "--resume")
    (half_done / winner.BEST).write_text("{")
    assert str(half_done / winner.BEST) in refused(capsys, half_done, *asked.typed, "--apply")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("space", 3), ("space", None), ("settings", None), ("settings", [1]), ("base", "x"), ("base", None),
        ("base", {"sampler": 3}), ("name", 5), ("command", ["a"]),
        ("objective", {"a": 1}), ("overrides", "text"), ("overrides", [1]), ("program", 1), ("started", 3),
    ],
)  # fmt: skip
def test_a_bad_entry_of_sweep_yaml_is_named(entry: str, value: Any, asked: Request, half_done: Path) -> None:
    content = yaml.safe_load((half_done / SWEEP_YAML).read_text())
    (half_done / SWEEP_YAML).write_text(yaml.safe_dump({**content, entry: value}))
    said = refused_by(half_done, lambda: folder.require_right(asked, resume=True))
    assert str(half_done / SWEEP_YAML) in said and entry in said


@pytest.mark.parametrize("text", ["", "{", "- 1", DEEP, LAUGHS, "\0", "a: 1"])
def test_a_damaged_sweep_yaml_is_named(text: str, asked: Request, half_done: Path) -> None:
    (half_done / SWEEP_YAML).write_text(text)
    said = refused_by(half_done, lambda: folder.require_right(asked, resume=True))
    assert str(half_done / SWEEP_YAML) in said
    if text not in ("", "a: 1"):  # nothing that these need is missing
        for work in (record.send, page.write):
            assert str(half_done / SWEEP_YAML) in refused_by(half_done, lambda work=work: work(half_done))


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("name", "../../x"), ("name", 3), ("name", None), ("values", [1]), ("values", {}),
        ("values", {"seed": 7}), ("values", {"seed": [0]}), ("points_per_ray", "many"),
        ("points_per_ray", None), ("status", "done"), ("status", 3), ("reason", 3), ("attempts", "two"),
        ("attempts", -1), ("steps", 1.5), ("steps", None), ("objective", "good"), ("metrics", [1]),
        ("metrics", {"a": "b"}), ("protocol", 3), ("images_per_second", "fast"), ("memory_gib", [1]),
        ("seconds", None), ("seconds", -1), ("cpus", "all"), ("gpus", True), ("node", 3), ("run", 3),
    ],
)  # fmt: skip
def test_a_bad_field_of_trial_json_is_named(entry: str, value: Any, asked: Request, half_done: Path) -> None:
    file = half_done / TRIALS / "000-seed_0" / FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), entry: value}))
    said = refused_by(half_done, lambda: folder.require_right(asked, resume=True))
    assert str(file) in said and entry in said


@pytest.mark.parametrize("text", ["", "{", "[]", "3", DEEP, "{}", '{"name": 1' + "0" * 5000 + "}", "\udcff"])
def test_a_damaged_trial_json_is_named(text: str, asked: Request, half_done: Path) -> None:
    file = half_done / TRIALS / "000-seed_0" / FILE
    file.write_text(text, errors="surrogateescape")
    assert str(file) in refused_by(half_done, lambda: folder.require_right(asked, resume=True))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "the section preset: is missing"),
        ("{", "no valid YAML"),
        ("- 1", "a mapping of options to values is needed"),
        (DEEP, "nested more than 20 deep"),
        (LAUGHS, "has the alias *a"),
        ("\0", "no valid YAML"),
        ("seed: 0", "preset"),
        (PARAMS.replace("preset:", "preset: 3\nx:"), "preset"),
        (PARAMS.replace("seed: 0", "seed: many"), "seed"),
        (PARAMS.replace("data: tiny", "data: nothing"), "nothing"),
        (PARAMS.replace("data: {}", "data: 3"), "data"),
        (PARAMS.replace("steps: 4", "steps: -4"), "train.steps"),
        (PARAMS.replace("steps: 4", "stepz: 4"), "train.stepz"),
        (PARAMS + "paths: {train_data: /home}\n", "paths"),
        (PARAMS + "tracking: {uri: 'http://other'}\n", "tracking"),
        (PARAMS + "more: 3\n", "more"),
        (PARAMS.replace("data: {}", "data: {path: '${oc.env:HOME}'}"), "data.path"),
    ],
)
def test_a_best_yaml_that_no_sweep_writes_is_not_applied(text: str, named: str, half_done: Path) -> None:
    best, params = half_done / winner.BEST, half_done / "params.yaml"
    best.write_text(text)
    params.write_text(PARAMS)
    said = refused_by(half_done, lambda: winner.apply(best, params))
    assert str(best) in said and named in said


def test_a_best_yaml_as_sweeps_write_it_is_applied(half_done: Path) -> None:
    best, params = half_done / winner.BEST, half_done / "params.yaml"
    best.write_text(PARAMS.replace("points: 5", "points: 7"))
    params.write_text(PARAMS)
    assert winner.apply(best, params) is not None and "points: 7" in params.read_text()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", None])
def test_a_port_of_something_else_is_named_within_seconds(
    answer: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        def serve() -> None:
            with other.accept()[0] as caller:
                if answer:
                    caller.sendall(answer)
                if answer is None:
                    caller.recv(2**16)
                    caller.recv(1)  # says nothing, until the other end has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        said = refused(capsys, tmp_path, *words_for(tmp_path), f"ray.address={address}")
        thread.join()
    assert f"{address}: what answers there is no Ray cluster" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = words_for(tmp_path)
    (tmp_path / "sweeps").write_text("a file")
    assert f"{tmp_path}/sweeps is no folder" in refused(capsys, tmp_path, *words)
    assert os.environ.get("RAY_ADDRESS") is None
