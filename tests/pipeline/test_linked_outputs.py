"""Links to big disks and links into DVC's cache: those stay, and nothing is written through these."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_killed_stages import PLACES, SMALL

from pipeline.cli.command import main
from pipeline.config.yaml_reading import PROJECT
from pipeline.display import html
from pipeline.export import stage as export
from pipeline.prepare import stage as prepare
from pipeline.runtime import outputs
from pipeline.train import stage as train

DVC = Path(sys.executable).with_name("dvc")
TRACKED = (
    "data/train", "data/test", "runs/train/model", "runs/train/best", "runs/train/samples",
    "runs/train/metrics.jsonl", "runs/train/curves.csv", "runs/export", "runs/report.html",
)  # fmt: skip
QUICK = ("export.videos=[]", "export.layers=0", "export.formats=[obj]", "data.identities=8")


def run(folder: Path, *more: str) -> list[int]:
    """Exit codes of the stages."""
    given = [*SMALL, *QUICK, *(f"paths.{name}='{folder}/{place}'" for name, place in PLACES.items()), *more]
    codes = [main(stage.STAGE, stage.run, given) for stage in (prepare, train, export)]
    with outputs.replacing_page(folder / "runs/report.html"):
        html.write(folder / "runs/report.html", f'<meta name="generator" content="gram">{more}')
    return codes


def md5s(folder: Path) -> dict[Path, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.md5(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stages wrote."""
    folder: Path = tmp_path_factory.mktemp("made")
    assert run(folder) == [0, 0, 0]
    return folder


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "copy"])
def test_stages_run_by_hand_leave_the_cache_of_dvc_as_it_is(made: Path, tmp_path: Path, kind: str) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(
        f"[core]\n    no_scm = True\n    analytics = false\n[cache]\n    type = {kind}\n"
    )
    subprocess.run([DVC, "add", "-q", *TRACKED], cwd=tmp_path, check=True)
    cached = md5s(tmp_path / ".dvc/cache/files/md5")
    names = {path: f"{path.parent.name}{path.name}".removesuffix(".dir") for path in cached}
    assert cached == names
    told = tmp_path / "runs/report.html"
    assert (told.is_symlink(), told.stat().st_nlink > 1) == (kind == "symlink", kind == "hardlink")
    before = {path: md5 for top in ("data", "runs") for path, md5 in md5s(tmp_path / top).items()}

    assert run(tmp_path, "data.seed=5", "seed=5", "export.seeds=[5]") == [0, 0, 0]
    assert md5s(tmp_path / ".dvc/cache/files/md5") == names
    after = {path: md5 for top in ("data", "runs") for path, md5 in md5s(tmp_path / top).items()}
    changed = [path for path, md5 in after.items() if before.get(path) != md5]
    assert {tmp_path / "runs/train/metrics.jsonl", told, tmp_path / "data/train/dataset.json"} <= set(changed)
    assert not any(path.is_symlink() or path.stat().st_nlink > 1 for path in after)


def test_links_to_another_disk_are_followed_and_stay(tmp_path: Path) -> None:
    """Some lead to nothing yet."""
    links = {"data": "disk/data", "data/train": "disk/big/train", "runs/export": "disk/export"}
    links |= {f"runs/train/{name}": f"disk/{name}" for name in ("model", "best", "samples")}
    for link, target in links.items():
        (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        if link in ("data", "runs/train/model"):
            (tmp_path / target).mkdir()
        (tmp_path / link).symlink_to(tmp_path / target)
    for seed in (0, 1):
        assert run(tmp_path, f"data.seed={seed}", f"seed={seed}", f"export.seeds=[{seed}]") == [0, 0, 0]
        for link, target in links.items():
            assert (tmp_path / link).is_symlink()
            assert any((tmp_path / target).iterdir())
        assert len(list((tmp_path / "disk/export").glob("*.obj"))) == 1
    left = [path for path in tmp_path.rglob(".*") if path.name.endswith((".lock", ".partial"))]
    assert left == []


def test_dvc_yaml_names_each_tracked_output() -> None:
    text = (PROJECT / "dvc.yaml").read_text()
    assert all(f"- {output}" in text for output in TRACKED if not output.endswith(".csv"))
