"""No report certifies one model with another's numbers, pictures, exports or curves."""

import json
import shutil
from pathlib import Path

import pytest
from html_pages import Page
from model_chain import stage

from gram.model.folder import load_settings
from pipeline import summary
from pipeline.config.loader import load
from pipeline.config.yaml_reading import PROJECT
from pipeline.tracking import identity

SHIPPED = PROJECT / "models/heads64"
UNTRACKED = "tracking=none"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage has run once."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("prepare", "train", "evaluate", "export", "report"):
            assert stage(name, UNTRACKED) == 0
    return folder


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in, which is what the summary looks at."""
    shutil.copytree(finished, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(summary, "load", lambda: load(["experiment=tiny", UNTRACKED]))
    return tmp_path / "here"


def page() -> str:
    return Path("runs/report.html").read_text()


def told(text: str) -> str:
    return " ".join(" ".join(Page(text).words).split())


def test_every_stage_writes_the_digest_of_the_generator_that_it_used(here: Path) -> None:
    digest = identity.generator_digest("runs/train/model")
    assert load_settings("runs/train/model")[identity.DIGEST] == digest
    made_of = json.loads(Path("runs/evaluate/protocol.json").read_text())[identity.KEY]
    data = [
        json.loads(Path(f"data/{split}/meta.json").read_text())["content_hash"] for split in ("train", "test")
    ]
    assert made_of == {"generator": digest, "data": data[0], "held_out": data[1]}
    (facts,) = json.loads(Path("runs/export/meshes.json").read_text()).values()
    assert facts[identity.KEY] == {"generator": digest}
    assert digest in page()
    assert stage("evaluate", UNTRACKED, "evaluate.noise_views=1") == 0
    noise = json.loads(Path("runs/evaluate/noise.json").read_text())
    assert (noise["trained"]["made_of"], noise["analytic"]["made_of"]) == (made_of, None)


def test_what_belongs_together_is_reported_without_a_word(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(page())
    assert "of another model" not in text and "not recorded" not in text
    assert "seed_0000" in text and "No learning curves" not in text
    assert summary.main() == 0
    assert "another" not in capsys.readouterr().out


def test_after_another_training_the_old_evaluation_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage("train", UNTRACKED, "seed=1") == 0
    capsys.readouterr()
    assert stage("report", UNTRACKED, "seed=1") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("report: runs/evaluate is of another model: ")
    assert line.endswith("run python -m pipeline.evaluate first")
    assert summary.main() == 1
    lines = capsys.readouterr().out.splitlines()
    for name, remedy in (("metrics", "evaluate"), ("meshes", "export"), ("report", "report")):
        (row,) = [row for row in lines if row.startswith(f"  {name} ")]
        assert "of another model: " in row and f"run python -m pipeline.{remedy})" in row
    assert not any("fid_effnetlite0" in row for row in lines)


def test_exports_and_curves_of_another_model_are_named_and_left_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("runs/train/model", "kept")
    assert stage("train", UNTRACKED, "seed=1") == 0
    assert stage("evaluate", UNTRACKED, "model=kept", "paths.evaluate=runs/evaluate") == 0
    assert stage("export", UNTRACKED, "seed=1") == 0
    capsys.readouterr()
    given = (
        "model=kept",
        "paths.evaluate=runs/evaluate",
        "paths.export=runs/export",
        "paths.report=page.html",
    )
    assert stage("report", UNTRACKED, *given) == 0
    messages = capsys.readouterr().err
    assert "report: exports: of another model: " in messages
    assert "run python -m pipeline.export model=kept" in messages
    text = Path("page.html").read_text()
    assert text.count("of another model") == 2  # exports and curves
    assert "seed_0000" not in text and "<iframe" not in text
    assert "No learning curves are available" in text


def test_a_shipped_model_has_folders_of_its_own_and_never_those_of_the_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_bytes() for file in Path("runs").rglob("*") if file.is_file()}
    more = ("export.resolution=32", f"model={SHIPPED}")
    assert stage("export", "tracking=mlflow", *more) == 0
    messages = capsys.readouterr().err
    assert "writing to runs/heads64/export" in messages
    assert {file: file.read_bytes() for file in before} == before
    (facts,) = json.loads(Path("runs/heads64/export/meshes.json").read_text()).values()
    assert facts[identity.KEY]["generator"] == identity.generator_digest(SHIPPED)
    assert stage("report", UNTRACKED, f"model={SHIPPED}") == 1
    assert "runs/heads64/evaluate/metrics.json is missing" in capsys.readouterr().err


def test_seeds_of_an_earlier_export_go(here: Path) -> None:
    assert stage("export", UNTRACKED, "export.seeds=[0,1]") == 0
    assert Path("runs/export/seed_0001.ply").is_file()
    assert stage("export", UNTRACKED, "export.seeds=[0]") == 0
    assert not list(Path("runs/export").glob("seed_0001*"))


def test_results_that_do_not_tell_of_which_model_are_shown_with_a_warning(here: Path) -> None:
    for name in ("runs/evaluate/protocol.json", "runs/export/meshes.json"):
        content = json.loads(Path(name).read_text())
        for entry in (content, *content.values()):
            entry.pop(identity.KEY, None)
        Path(name).write_text(json.dumps(content))
    Path("runs/train/training.json").unlink()
    assert stage("report", UNTRACKED) == 0
    text = told(page())
    assert "of a model that is not recorded: run python -m pipeline.evaluate" in text
    assert "of a model that is not recorded: run python -m pipeline.export" in text
    assert "of a training that is not recorded" in text
    assert "seed_0000" in text


def test_another_configuration_and_other_pictures_are_named(here: Path) -> None:
    assert stage("prepare", "data.seed=1") == 0
    assert stage("evaluate", UNTRACKED, "data.seed=1") == 0
    assert stage("report", UNTRACKED, "data.seed=1", "train.lr_generator=0.5") == 0
    text = told(page())
    assert "compared with other images than it was trained on" in text
    assert "give the experiment and options of its training" in text
    assert "CC0-1.0" not in text, "the licence of other pictures"


def test_settings_that_change_what_is_drawn_change_the_digest(here: Path) -> None:
    before = identity.generator_digest("runs/train/model")
    file = Path("runs/train/model/model.json")
    settings = json.loads(file.read_text())
    settings["made_from"]["run"] = "another"
    file.write_text(json.dumps(settings))
    assert identity.generator_digest("runs/train/model") == before
    settings["sampler"]["delta"] *= 2
    file.write_text(json.dumps(settings))
    assert identity.generator_digest("runs/train/model") != before
