"""Estimates: what no machine has is refused in a second, what fits is below what is measured."""

from pathlib import Path

import pytest

from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.cli.stage import Stage
from pipeline.config.loader import load
from pipeline.config.presets import presets_of
from pipeline.evaluate import stage as evaluate
from pipeline.export import stage as export
from pipeline.plan import stage as plan
from pipeline.plan import trial
from pipeline.prepare import stage as prepare
from pipeline.runtime import estimates, hardware, scene
from pipeline.train import stage as train

STAGES = {module.STAGE.name: module for module in (evaluate, export, plan, prepare, train)}
GIB = 2**30
NETWORKS = ["model.hidden=65536", "model.layers=1000"]
VAST = {
    "prepare": ["data.size=65536"],
    "train": NETWORKS,
    "plan": NETWORKS,
    "evaluate": ["evaluate.inversion_identities=1000000", "evaluate.inversion_steps=1000000"],
    "export": ["export.resolution=16384"],
}
"""What no machine has room for."""


@pytest.mark.parametrize(
    ("stage", "option", "kind"),
    [
        ("prepare", "data.identities=1000000000", "memory"),
        ("prepare", "data.identities=100000000 data.size=256", "disk space"),
        ("prepare", "data.test_identities=10000000 data.views=100000", "memory"),
        ("prepare", "data.size=65536", "memory"),
        ("prepare", "data.kind=images data.size=65536 data.fov_degrees=null", "memory"),
        ("prepare", "data.processes=4096", "memory"),
        ("train", "train.batch_size=1000000", "memory"),
        ("train", "data.size=65536", "memory"),
        ("train", "model.hidden=65536 model.layers=1000", "memory"),
        ("train", "model.mapping_width=65536 model.mapping_layers=1000", "memory"),
        ("train", "model.manifold_hidden=65536 model.manifold_layers=100", "memory"),
        ("train", "sampler.kind=neusample model.ray_hidden=65536 model.ray_layers=100", "memory"),
        ("train", "model.discriminator_width=100 model.discriminator_max_channels=65536", "memory"),
        ("train", "sampler.num_samples=100000 train.batch_size=10000", "memory"),
        ("train", "sampler.points=100000 train.batch_size=1000", "memory"),
        ("train", "train.launch.processes=4096 train.batch_size=4096", "memory"),
        ("train", "train.steps=99999999 sampler.points=1000 model.hidden=1000", "takes"),
        ("train", "train.steps=99999999 train.keep_every=1 model.hidden=1000", "disk space"),
        ("plan", "model.hidden=65536 model.layers=1000", "memory"),
        ("evaluate", "evaluate.batch_size=1000000 evaluate.images=1000000 data.size=128", "memory"),
        ("evaluate", "evaluate.consistency_latents=100000 data.size=65536 evaluate.batch_size=1", "takes"),
        ("evaluate", "evaluate.inversion_identities=1000000 evaluate.inversion_steps=1000000", "takes"),
        ("export", "export.resolution=16384", "memory"),
        ("export", "export.texture=65536", "memory"),
        ("export", "export.layers=65536", "memory"),
        ("export", "export.size=65536 export.frames=100", "memory"),
        ("export", "export.between=1000000 export.seeds=[0,1] export.size=1024", "memory"),
    ],
)  # fmt: skip
def test_what_no_machine_has_is_refused_before_any_work(
    stage: str, option: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hardware, "free_memory", lambda device: 20 * GIB)
    monkeypatch.setattr(estimates, "_free_disk", lambda stage, config: 30 * GIB)
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    module = STAGES[stage]
    assert main(module.STAGE, module.run, ["experiment=tiny", "tracking=none", *option.split()]) == EXIT_ERROR
    (message,) = capsys.readouterr().err.splitlines()
    assert any(f"{word.replace('=', ' = ')}" in message for word in option.split()), message
    assert kind in message and message.endswith("choose less, or start regardless with --force")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", list(STAGES))
def test_force_begins_all_the_same_and_is_told_in_the_help(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own: Stage = STAGES[stage].STAGE
    assert main(own, lambda config, **flags: 0, ["--help"]) == 0
    assert "--force" in capsys.readouterr().out
    begun: list[object] = []
    vast = ["experiment=tiny", *VAST[stage]]
    assert main(own, begun.append, vast) == EXIT_ERROR
    assert "--force" in capsys.readouterr().err and begun == []
    assert main(own, begun.append, [*vast, "--force"]) == 0
    assert len(begun) == 1


@pytest.mark.parametrize("name", presets_of("experiment"))
def test_experiments_fit_the_machines_that_they_are_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = name in ("tiny", "heads32", "heads64small")
    monkeypatch.setattr(hardware, "free_memory", lambda device: (2 if small else 80) * GIB)
    monkeypatch.setattr(estimates, "_free_disk", lambda stage, config: 8 * GIB)
    monkeypatch.setattr(estimates, "CPU_SPEED", estimates.CPU_SPEED if small else estimates.GPU_SPEED)
    config = load([f"experiment={name}"])
    for stage in STAGES:
        estimates.require_room(stage, config)


def test_training_takes_more_than_its_estimate_and_not_a_hundred_times_as_much() -> None:
    config = load(["experiment=tiny", "train.batch_size=32", "model.hidden=64"])
    found = trial.try_out(config, scene.planned_meta(config.data), micro_batch=0, patches=1, batch=32)
    assert found is not None
    needs = [need for need in estimates.needs("train", config) if need.kind == "memory"]
    assert sum(need.amount for need in needs) < found.peak_bytes < 100 * sum(need.amount for need in needs)
