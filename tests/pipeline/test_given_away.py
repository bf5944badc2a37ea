"""What is given away tells nothing about its maker, and pages show names as text."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from clones import call, make_clone
from html_pages import Page
from sweep_folders import sampled, trial, write_sweep

from gram.data.writer import DatasetWriter
from pipeline.config.loader import load
from pipeline.config.pinned import pinned, shareable, without_folders
from pipeline.config.yaml_reading import PROJECT
from pipeline.export import viewer
from pipeline.pack.model_card import as_text
from pipeline.sweep.report import page as sweep_page
from pipeline.sweep.space import trial_name

SECRETS = ("mallory", "hunter2", "ghp_0123", "AKIA0123", "workstation.example")
URI = "http://mallory:hunter2@workstation.example:5000"
HOSTILE = "</script><script>alert('1')</script>\"'><img src=x onerror=alert(1)>&amp;$\\frac{$"
SCRIPT = """
import sys
sys.path.append({tests!r})
from model_chain import stage
from pipeline.pack import stage as pack
from pipeline.cli.command import main
given = {given!r}
for name in ("prepare", "train", "evaluate", "export", "report"):
    assert stage(name, *given) == 0, name
from model_chain import TINY, NOTHING_MORE
model = "model=" + repr({folder!r} + "/runs/train/model")
to = ["--to", {folder!r} + "/mine", "--note", "two | cores"]
assert main(pack.STAGE, pack.run, [*TINY, *NOTHING_MORE, *given, model, *to]) == 0
"""


def write_pictures(folder: Path) -> Path:
    with DatasetWriter(folder, size=16, fov=0.2) as writer:
        for i in range(6):
            writer.add(np.full((16, 16, 3), 40 * i, np.uint8), (1.5, 1.4 + 0.1 * i), identity=i)
        writer.finish(kind="custom", near=0.88, far=1.12, background="plane", split="train", licence=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def given_away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a chain leaves that was told secrets in every way there is."""
    home = tmp_path_factory.mktemp("home") / "mallory"
    clone, folder = home / "project", home / "place"
    make_clone(clone)
    call(clone, "git", "remote", "add", "origin", "https://mallory:ghp_0123@github.example/gram.git")
    options = ["data=images", f"data.path='{write_pictures(home / 'photos')}'", "data.size=16"]
    options += ["data.test_identities=1", "data.poses=fitted", "tracking=none", f"tracking.uri='{URI}'"]
    options += ["tracking.run=mallory", "evaluate.noise_views=1"]
    places = {name: f"{folder}/data/{name}" for name in ("train_data", "test_data")}
    places |= {name: f"{folder}/runs/{name}" for name in ("train", "evaluate", "export")}
    places |= {"checkpoints": f"{folder}/checkpoints", "report": f"{folder}/runs/report.html"}
    places |= {"model": f"{folder}/runs/train/model"}
    options += [f"paths.{name}='{path}'" for name, path in places.items()]
    script = SCRIPT.format(tests=str(PROJECT / "tests/pipeline"), given=options, folder=str(folder))
    environment = {
        **os.environ,
        "HOME": str(home),
        "USER": "mallory",
        "LOGNAME": "mallory",
        "PYTHONPATH": str(clone),
    }
    environment |= {"MLFLOW_TRACKING_URI": URI, "AWS_SECRET_ACCESS_KEY": "AKIA0123"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_tells_who_made_it_where_or_with_what_password(given_away: Path) -> None:
    files = [file for file in given_away.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"report.html", "viewer.html", "params.yaml", "model.json", "meshes.json", "README.md"} <= names
    for file in files:
        content = file.read_bytes()
        for secret in (*SECRETS, str(given_away.parents[1])):
            assert secret.encode() not in content, f"{secret} in {file.relative_to(given_away)}"


def test_names_and_notes_are_text_on_the_page_and_in_the_readme(given_away: Path) -> None:
    text = (given_away / "runs/report.html").read_text()
    assert HOSTILE not in text
    page = Page(text)
    assert any(HOSTILE in words for words in page.words), "the licence is shown as it is"
    assert "<script" not in text.replace('srcdoc="', "").replace("&lt;script", "")
    readme = (given_away / "mine/README.md").read_text()
    assert "<" not in "".join(line for line in readme.splitlines() if line.startswith("| "))
    assert r"| note | two \| cores |" in readme


def test_params_to_give_away_are_the_same_experiment_without_the_private() -> None:
    own = load(
        ["experiment=tiny", "data=images", "data.path=/home/mallory/photos.zip", f"tracking.uri='{URI}'",
         "paths.train=/home/mallory/runs", "train.launch.main_address=workstation.example",
         "train.start_from=/home/mallory/step-1", "export.latents='~/mallory.npy'"]
    )  # fmt: skip
    text = shareable(own)
    assert not [secret for secret in SECRETS if secret in text.replace("mallory.npy", "")]
    assert "tracking:\n" not in text and "paths:\n" not in text
    assert "path: photos.zip" in text
    assert "paths:\n" in pinned(own) and "hunter2" not in pinned(own), "the environment has the password"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("photos", "photos"), ("data/own.zip", "data/own.zip"), ("/home/mallory/own.zip", "own.zip"),
        ("../mallory/own", "own"), ("~/own", "own"), (None, None),
    ],
)  # fmt: skip
def test_paths_lose_their_folders(path: str | None, shown: str | None) -> None:
    assert without_folders(path) == shown


def test_the_page_and_the_table_of_a_sweep_tell_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/mallory")
    typed = ["sweep=some", f"tracking.uri='{URI}'", "paths.train=/home/mallory/runs", "data.size=16"]
    command = "python -m pipeline.sweep --params /home/mallory/p.yaml " + " ".join(typed)
    places = ["/home/mallory/a/own", "/home/mallory/b/own"]
    trials = [trial(k, 50.0 + k, values={"data.path": place}) for k, place in enumerate(places)]
    trials += [
        trial(2, None, values={"data.path": places[0]}, status="failed", reason="no /home/mallory/a/own")
    ]
    space = {"data.path": places}
    folder = write_sweep(tmp_path / "some", trials, command=command, overrides=typed, space=space)
    text = sweep_page.write(folder).read_text()
    table = (folder / "trials.csv").read_text()
    for secret in SECRETS:
        assert secret not in text + table, secret
    words = " ".join(Page(text).words)
    assert "path own #2" in words and "no ~/a/own" in words
    assert "python -m pipeline.sweep --params p.yaml sweep=some data.size=16 --apply" in words
    assert trial_name(1, {"data.path": places[1], "seed": 3}) == "001-own-seed_3"


def test_hostile_names_of_a_sweep_are_text_also_in_its_figures(tmp_path: Path) -> None:
    trials = [sampled(k, "planes", 6 + k, 50.0 + k) for k in range(2)]
    trials += [trial(2 + k, 40.0, values={"data.path": f"{HOSTILE}{k}"}, reason=HOSTILE) for k in range(2)]
    folder = write_sweep(tmp_path / "sweep", trials, name=HOSTILE, experiment=HOSTILE)
    text = sweep_page.write(folder).read_text()
    assert "<script" not in text and "<img src=x" not in text
    assert any(HOSTILE in words for words in Page(text).words)


def test_hostile_words_of_a_viewer_are_text_and_its_data_stays_data() -> None:
    mesh, poses = trimesh.creation.box(), torch.full((1, 2), torch.pi / 2)
    text = viewer.page(
        [], fov=0.2, poses=poses, labels=[HOSTILE], meshes=[mesh], title=HOSTILE, about=HOSTILE
    )
    assert HOSTILE not in text and "<img src=x" not in text
    data = text.partition('<script type="application/json">')[2].partition("</script>")[0]
    assert json.loads(data)["labels"] == [HOSTILE]
    assert any(HOSTILE in words for words in Page(text).words)


def test_markdown_shows_words_as_they_are() -> None:
    assert as_text("a|b\n<b>![x](http://h)") == r"a\|b &lt;b&gt;\!\[x\](http://h)"
