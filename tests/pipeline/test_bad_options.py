"""Bad options of every stage: one line that names what was given, and nothing else happens."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_origin

import pytest
import torch

from pipeline import noise, summary, ui
from pipeline.cli.command import explained, main
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_USAGE
from pipeline.cli.stage import Stage
from pipeline.config.options import Option, all_options
from pipeline.config.yaml_reading import PROJECT
from pipeline.doctor import stage as doctor
from pipeline.evaluate import stage as evaluate
from pipeline.export import stage as export
from pipeline.pack import stage as pack
from pipeline.plan import stage as plan
from pipeline.prepare import stage as prepare
from pipeline.report import stage as report
from pipeline.sweep import stage as sweep
from pipeline.train import stage as train

STAGES: list[Stage] = [
    module.STAGE for module in (doctor, evaluate, export, noise, pack, plan, prepare, report, train)
]
SECONDS = 10.0
MEMORY = 2 * 2**30
"""Bytes that a command may take beyond what this process has."""
LONGEST_LINE = 800


def bad_values(option: Option) -> list[str]:
    """Values of the wrong type, and beyond each limit."""
    bounds = option.metadata
    if bounds["choices"]:
        return ["nothing-of-this", ""]
    if option.is_text:
        return ["a\0b", "a\nb", "${oc.env:HOME}", "x" * 5000] + ([""] if bounds["path"] else [])
    if option.type is bool:
        return ["maybe", "2", "[true]", "null"]
    if get_origin(option.type) is list:
        return ["many", "[[1]]", "{a: 1}", "[${oc.env:HOME}]"] + (["[nan]"] if float in option.types else [])
    numbers = ["many", "[1]", "nan", "-1e400", "9" * 5000]
    numbers += [str(bounds["low"] - 1)] if bounds["low"] is not None else []
    numbers += [str(bounds["above"])] if bounds["above"] is not None else []
    numbers += [str(bounds["high"] + 1)] if bounds["high"] is not None else []
    return [*numbers, "1.5"] if int in option.types else numbers


ODD_ARGUMENTS = (
    "x", "=", "=1", "train", "train=", "train.steps", "train.steps=", "steps=3", "train.stepz=3",
    "trian.steps=3", "seed.x=1", "train.launch=3", "paths=3", "+train.steps=3", "++train.steps=3",
    "~train.steps", "train.steps=1,2", "train.steps=range(1,3)", "train.steps=glob(*)", "train.steps='3",
    "train.betas=[0.9", "export.seeds=[0,", "preset.data=tiny", "data=nothing", "data=../data/tiny",
    "data=a\nb", "data=tiny.yaml", "experiment=nothing", "experiment=../../params", "experiment=",
    "train.steps=${train.steps}", "train.steps=${train.stepz}", "train.steps=${oc.decode:'3'}",
    "train.steps=${hydra:job.num}", "train.steps=${data.kind}", "data.path='it's'", "train.betas=[0.9]",
    "train.betas=[0,1]", "train.ema_decays=[1]", "model.manifold_centre=[1,2]", "data.size=33",
    "data.near=2", "data.poses=fitted", "data.background=white", "data.fov_degrees=null",
    "sampler.points=1", "sampler.first_level=1", "export.level=1", "export.seeds=[]", "export.seeds=[1,1]",
    "export.seeds=[-1]", "export.formats=[stl]", "export.videos=[avi]", "export.faces=3",
    "export.texture=3", "export.fps=60", "evaluate.noise_points=[]", "evaluate.noise_points=[1]",
    "export.seeds=[" + "1," * 20000 + "1]", "train.launch.main_port=99999", "--nothing", "-x", "---",
    "--steps=3", "\udcff=3", "data.path=\udcff",
)  # fmt: skip
FILES = {
    "missing.yaml": None,
    "empty.yaml": "",
    "list.yaml": "[1]",
    "text.yaml": "text",
    "open.yaml": "preset: [",
    "no-preset.yaml": "train: {steps: 3}",
    "preset.yaml": "preset: 3",
    "group.yaml": "preset: {data: tiny, nothing: tiny}",
    "half.yaml": "preset: {data: tiny}",
    "tag.yaml": "preset: !!python/object/apply:os.system [touch x]",
    "alias.yaml": "preset: &a {data: tiny}\ntrain: *a",
    "twice.yaml": "preset: {}\npreset: {}",
    "documents.yaml": "preset: {}\n---\npreset: {}",
    "binary.yaml": "\0\1\2",
    "deep.yaml": "[" * 5000,
    "two\nlines.yaml": "[",
}
"""Name -> content of a file that is given in place of params.yaml."""
COMPLETE = "preset: {data: tiny, model: tiny, sampler: heads32, train: tiny, evaluate: tiny, export: tiny, "
COMPLETE += "tracking: none}\n"
FILES |= {
    f"value-{number}.yaml": COMPLETE + content
    for number, content in enumerate(
        (
            "train: {stepz: 3}", "train: 3", "train: {steps: many}", "train: {steps: [3]}",
            "train: {steps: {a: 3}}", "train: {steps: .nan}", "train: {lr_manifold: .inf}",
            "trian: {steps: 3}", "paths: {train: /own}", "tracking: {uri: 'http://a:b@c'}",
            "tracking: {run: '${oc.env:HOME}'}", "train: {steps: '${a}'}",
            "train.steps: 3\ntrain: {steps: 4}", "data: {path: ''}", "data: {path: [a]}",
            "export: {seeds: 3}", "export: {formats: [1, [2]]}", "train: {launch: {main_address: far}}",
            "seed: 1e3", "seed: -1",
        )
    )
}  # fmt: skip
LOCAL = ("/own", "//a:b@c", "main_address")
"""What stands in files that only this program writes."""
SWEEPS = (
    "sweep=nothing", "sweep=missing.yaml", "sweep.serch=grid", "sweep.search=no", "sweep.retries=many",
    "sweep.cpus=nan", "sweep.folder=", "sweep.gpus=inf", "sweep.space.train.stepz=[1]",
    "sweep.space.train.steps=3", "sweep.space.train.steps=[]", "sweep.space.paths.train=[a,b]",
    "sweep.space.data.path=[2024_11_05]",
)  # fmt: skip


class Beyond(BaseException):
    """A command took too much; no handler of errors takes it for one of the input."""


@contextmanager
def bounded() -> Iterator[None]:
    """Ends what takes more than SECONDS or MEMORY."""

    def end(number: int, frame: object) -> None:
        raise Beyond(f"still at work after {SECONDS} s")

    before, limits = signal.signal(signal.SIGALRM, end), resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    except MemoryError as error:
        raise Beyond(f"more than {MEMORY} bytes") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """All that is in a folder, and when its files were changed; locks come and go in folders."""
    found = [(path, path.lstat()) for path in (folder, *folder.rglob("*"))]
    return {
        str(path): (of.st_mode, 0, 0) if path.is_dir() else (of.st_mode, of.st_size, of.st_mtime_ns)
        for path, of in found
    }


class Asked:
    """Runs stages in an empty folder and looks at what they say."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys, self.count = folder, capsys, 0

    def refuses(
        self, stage: Stage, arguments: list[str], named: str, work: Callable[..., int | None] | None = None
    ) -> None:
        """Hold a refusal of arguments that says `named` against all that is asked of one."""
        self.count += 1
        there, environment = state(self.folder), dict(os.environ)
        with bounded():
            code = main(stage, work or self._work, arguments)
        said = self.capsys.readouterr()
        about = f"{stage.name} {' '.join(arguments)[:100]!r}: {said.err}"
        assert code in (EXIT_ERROR, EXIT_USAGE), about
        assert said.out == "" and said.err.endswith("\n") and said.err.count("\n") == 1, about
        assert said.err.startswith(f"{stage.name}: ") and len(said.err) < LONGEST_LINE, about
        assert named in said.err, about
        assert "Traceback" not in said.err and said.err.rstrip("\n").isprintable(), about
        assert state(self.folder) == there, about
        assert work is not None or dict(os.environ) == environment, about

    def _work(self, config: object, **flags: object) -> None:
        raise AssertionError("work began")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    monkeypatch.chdir(tmp_path)
    return Asked(tmp_path, capsys)


@pytest.mark.parametrize("part", range(4))
def test_every_option_refuses_what_is_none_of_its_values(part: int, asked: Asked) -> None:
    names = list(all_options())[part::4]
    for number, name in enumerate(names):
        for value in bad_values(all_options()[name]):
            stage = STAGES[(number + asked.count) % len(STAGES)]
            asked.refuses(stage, ["experiment=tiny", f"{name}={value}"], name)
    assert asked.count > 100


def test_arguments_that_are_none_are_named(asked: Asked) -> None:
    for number, argument in enumerate(ODD_ARGUMENTS):
        named = argument.partition("=")[0].strip("+~") if "=" in argument else argument
        stage = STAGES[number % len(STAGES)]
        asked.refuses(stage, ["experiment=tiny", argument], ascii(named)[1:-1])
    for stage in STAGES:
        for file in ("--params", "--pinned"):
            asked.refuses(stage, [file], file)
    asked.refuses(plan.STAGE, ["--memory"], "--memory")
    asked.refuses(plan.STAGE, ["--memory", "nan"], "--memory nan")


def test_files_that_are_none_of_params_are_named(asked: Asked) -> None:
    for name, content in FILES.items():
        if content is not None:
            Path(name).write_text(content)
    for number, name in enumerate(FILES):
        for flag in ("--params", "--pinned"):
            if flag == "--pinned" and any(local in (FILES[name] or "") for local in LOCAL):
                continue  # the flag is for files that say so
            shown = name.replace("\n", " ")
            asked.refuses(STAGES[number % len(STAGES)], [flag, name], shown)
    assert asked.count > 60


def test_searches_that_are_none_are_named(asked: Asked) -> None:
    for argument in SWEEPS:
        asked.refuses(sweep.STAGE, [argument], argument.partition("=")[0].removeprefix("sweep.space."))


def test_what_only_the_work_finds_out_is_said_before_anything_is_written(asked: Asked) -> None:
    for module, arguments, named in (
        (prepare, ["data=images"], "data.path"),
        (prepare, ["data=images", "data.path=nowhere, at (all).zip"], "nowhere, at (all).zip"),
        (train, [], "data/train"),
        (train, ["train.launch.machine_rank=5"], "train.launch.machine_rank = 5"),
        (train, ["train.launch.machines=2"], "main_port = 0"),
        (train, ["train.launch.processes=3"], "train.batch_size = 4"),
        (train, ["train.launch.processes=2", "train.launch.main_address=nowhere.invalid"], "nowhere.invalid"),
        (train, ["train.launch.processes=2", "train.launch.main_address=" + "a" * 300], "main_address"),
        (train, ["train.device=cuda"], "cuda" if not torch.cuda.is_available() else "data/train"),
        (plan, ["train.launch.processes=3"], "train.batch_size = 4"),
        (evaluate, ["model=no model"], "no model"),
        (export, ["model=no model"], "no model"),
        (report, ["model=no model"], "no model"),
        (pack, ["model=no model", "--to", "there"], "no model"),
        (pack, [], "--to"),
    ):
        asked.refuses(module.STAGE, ["experiment=tiny", *arguments], named, module.run)


def test_commands_without_options_name_a_damaged_file_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("preset: [")
    monkeypatch.setattr("pipeline.config.loader.PROJECT", tmp_path)
    commands = {"summary": lambda: explained("summary", summary.main), "ui": lambda: ui.main(["5999"])}
    for name, command in commands.items():
        there = state(tmp_path)
        with bounded():
            assert command() == EXIT_USAGE
        assert state(tmp_path) == there
        said = capsys.readouterr().err
        assert (
            said.startswith(f"{name}: ") and "params.yaml is no valid YAML" in said and said.count("\n") == 1
        )


def test_a_bad_option_ends_a_process_in_seconds(tmp_path: Path) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.prepare", "data.size=1048576"], cwd=tmp_path, capture_output=True,
        text=True, check=False, env={**os.environ, "PYTHONPATH": str(PROJECT)}, timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
    assert done.stderr == (
        "prepare: command line: data.size = 1048576, but it takes a whole number, at least 4, at most 65536\n"
    )
    assert time.monotonic() - start < SECONDS
    assert list(tmp_path.iterdir()) == []
