"""What this program did not write is never replaced, and what it wrote is, by one process at a time."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gram.data.writer import DatasetWriter
from gram.system.locks import BusyError
from pipeline.runtime import outputs
from pipeline.runtime.outputs import (
    OutputError,
    publishing,
    reading,
    replacing,
    replacing_page,
    replacing_plan,
    require_run,
    write_plan,
)
from pipeline.runtime.recognition import DATA, EVALUATION, EXPORT, MARKER, NOISE, PACK, FolderKind

SHIPPED = Path(__file__).parents[3] / "models/heads64"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_data(folder: Path) -> None:
    """As versions before wrote it."""
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, size=8, fov=0.2) as writer:
        for i in range(3):
            writer.add(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (1.5, 1.4 + 0.1 * i), identity=i)
        writer.finish(kind="custom", near=0.9, far=1.1, background="plane", split="train", licence="mine")


def write_export(folder: Path) -> None:
    folder.mkdir()
    fact = {"triangles": 1, "watertight": True, "files": {"seed_0000.glb": 1}}
    (folder / "meshes.json").write_text(json.dumps({"seed_0000": fact}))
    for name in ("seed_0000.glb", "seed_0000_layers.glb", "seed_0000.obj.123.partial", "viewer.html"):
        (folder / name).write_text("x")


def write_evaluation(folder: Path) -> None:
    folder.mkdir()
    (folder / "protocol.json").write_text(json.dumps({"trained": {}}))
    for name in ("metrics.json", "samples.png", "inversions.safetensors", ".sweep.png.123"):
        (folder / name).write_text("x")


def write_noise(folder: Path) -> None:
    folder.mkdir()
    (folder / "noise.json").write_text(json.dumps({"analytic": {}}))
    (folder / "noise.png").write_text("x")


def write_pack(folder: Path) -> None:
    shutil.copytree(SHIPPED, folder)


BEFORE: dict[str, tuple[FolderKind, Callable[[Path], None]]] = {
    "data": (DATA, write_data),
    "export": (EXPORT, write_export),
    "evaluate": (EVALUATION, write_evaluation),
    "noise": (NOISE, write_noise),
    "pack": (PACK, write_pack),
}


@pytest.fixture(params=BEFORE)
def before(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, FolderKind]:
    """A folder without marker, as versions before wrote it."""
    kind, write = BEFORE[request.param]
    write(tmp_path / "out")
    return tmp_path / "out", kind


def replace(path: Path, kind: FolderKind) -> None:
    with replacing(path, kind) as aside:
        (aside / "new").write_text("1")


def test_folders_of_versions_before_are_replaced(before: tuple[Path, FolderKind]) -> None:
    path, kind = before
    replace(path, kind)
    assert set(tree(path)) == ({"new", MARKER} if kind.marked else {"new"})


@pytest.mark.parametrize("name", ["mine.txt", "deep/mine.png", ".hidden", "link"])
def test_one_file_more_stops_the_stage_and_is_named(before: tuple[Path, FolderKind], name: str) -> None:
    path, kind = before
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).symlink_to(path.parent) if name == "link" else (path / name).write_text("mine")
    files, worked = tree(path), False
    told = f"out holds {name}, which this program did not write, and which would be lost: name another place"
    with pytest.raises(OutputError, match=told) as error, replacing(path, kind):
        worked = True
    assert not worked
    assert kind.option in str(error.value)
    assert tree(path) == files


def test_without_what_proves_it_a_folder_is_the_user_s(before: tuple[Path, FolderKind]) -> None:
    """Names alone are not enough: other programs write metrics.json and seed_0000.png, too."""
    path, kind = before
    proofs = {DATA: "meta.json", EXPORT: "meshes.json", EVALUATION: "protocol.json", NOISE: "noise.json"}
    proof = path / proofs.get(kind, "model.json")
    for content in ("{", "[]", "{}"):
        proof.write_text(content)
        with pytest.raises(OutputError, match="did not write"), replacing(path, kind):
            pass
    proof.unlink()
    with pytest.raises(OutputError, match="did not write"), replacing(path, kind):
        pass


def test_pictures_that_were_changed_are_the_user_s(tmp_path: Path) -> None:
    write_data(tmp_path / "out")
    first, second = (tmp_path / f"out/images/00000/img0000000{i}.png" for i in (0, 1))
    shutil.copyfile(first, second)
    with pytest.raises(OutputError, match="did not write"), replacing(tmp_path / "out", DATA):
        pass


def test_with_its_marker_a_folder_is_replaced_unless_more_is_in_it(tmp_path: Path) -> None:
    for kind in (DATA, EXPORT, EVALUATION, NOISE):
        path = tmp_path / kind.name
        replace(path, kind)
        (path / ".DS_Store").write_text("of the system")
        replace(path, kind)
        (path / "mine").write_text("mine")
        with pytest.raises(OutputError, match="holds mine"), replacing(path, kind):
            pass
        other = EXPORT if kind is not EXPORT else NOISE
        with pytest.raises(OutputError, match="did not write"), replacing(path, other):
            pass


def test_the_marker_follows_from_the_files_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with replacing(tmp_path / name, EXPORT) as aside:
            for file in ("2", "1", "3") if name == "a" else ("3", "1", "2"):
                (aside / file).write_text("")
    assert (tmp_path / "a" / MARKER).read_bytes() == (tmp_path / "b" / MARKER).read_bytes()


def test_files_that_dvc_restores_beside_the_marker_are_no_obstacle(tmp_path: Path) -> None:
    replace(tmp_path / "out", EVALUATION)
    (tmp_path / "out/new").unlink()
    (tmp_path / "out/samples.png").write_text("restored")
    replace(tmp_path / "out", EVALUATION)


def test_what_comes_meanwhile_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds mine"), replacing(tmp_path / "out", EXPORT):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/mine").write_text("mine")
    assert tree(tmp_path) == {"out/mine": b"mine"}


def test_a_file_and_a_whole_file_system_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(OutputError, match="is no folder, and would be lost"),
        replacing(tmp_path / "file", DATA),
    ):
        pass
    with pytest.raises(OutputError, match="is a whole file system: name a folder within it"):
        outputs.require_own(Path("/proc"), EXPORT)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("best/notes.txt", "mine"),
        ("model/model.json", "{}"),
        ("model/generator.safetensors", "mine"),
        ("samples/grid.png", "mine"),
        ("samples/grid-0000012.png.bak", "mine"),
        ("metrics.jsonl", '{"step": 1, "mine": 2}\n'),
        ("metrics.jsonl/x", "mine"),
        ("curves.csv", "step,mine\n1,2\n"),
        ("model", "a file"),
    ],
)
def test_training_replaces_nothing_of_the_user_s(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(OutputError, match="would be lost"), publishing(tmp_path):
        pass
    assert tree(tmp_path) == {name: content.encode()}


def test_training_replaces_its_own_and_leaves_the_rest(tmp_path: Path) -> None:
    files = {
        "metrics.jsonl": '{"step": 1, "time": 1.5, "loss/discriminator": 1.0, "images": 4}\n',
        "curves.csv": "step,loss/discriminator,images\r\n1,1.0,4\r\n",
        "samples/grid-0000012.png": "x",
        "notes.txt": "mine",
    }
    shutil.copytree(
        SHIPPED, tmp_path / "model", ignore=shutil.ignore_patterns("*.png", "*.md", "*.yaml", "met*")
    )
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    require_run(tmp_path)


def test_only_a_report_is_replaced_by_a_report(tmp_path: Path) -> None:
    for name, content in (("mine.html", "<html>mine</html>"), ("mine.txt", "mine"), ("empty", "")):
        (tmp_path / name).write_text(content)
        with (
            pytest.raises(OutputError, match=f"holds {name}, .*paths.report"),
            replacing_page(tmp_path / name),
        ):
            pass
    head = '<head>\n<meta name="color-scheme" content="light dark">\n<title>heads: a run</title>'
    (tmp_path / "before.html").write_text(head)
    with replacing_page(tmp_path / "before.html"):
        pass


def test_a_plan_replaces_only_a_plan_that_nobody_has_changed(tmp_path: Path) -> None:
    path, text = tmp_path / "plan.yaml", "# measured\ntrain:\n  micro_batch: 4\n"

    def write(content: str) -> None:
        with replacing_plan(path):
            write_plan(path, content)

    write(text)
    write(text + "  patches: 2\n")
    own = path.read_text()
    assert own.startswith(text + "  patches: 2\n# ")
    for others in (own.replace(": 4", ": 2"), own + "  steps: 3\n", "# mine\n" + own, text, "", "x" * 10**5):
        path.write_text(others)
        with pytest.raises(
            OutputError, match=r"plan\.yaml was changed after .* wrote it, .*: rename it, or write"
        ):
            write(text)
        assert tree(tmp_path) == {"plan.yaml": others.encode()}
    path.unlink()
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to("nowhere")):
        make()
        with pytest.raises(OutputError, match="would be lost"):
            write(text)
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(OutputError, match="would be lost"), replacing_plan(path):  # it comes meanwhile
        path.write_text("mine")
        write_plan(path, text)
    assert tree(tmp_path) == {"plan.yaml": b"mine"}


def test_nobody_else_writes_or_reads_what_is_being_replaced(tmp_path: Path) -> None:
    """Also by another name of it; two may read."""
    path = tmp_path / "data"
    (tmp_path / "link").symlink_to(path)
    with replacing(path, DATA):
        for other in (path, tmp_path / "link"):
            with (
                pytest.raises(BusyError, match=f"is in use by process {os.getpid()}"),
                replacing(other, DATA),
            ):
                pass
            with pytest.raises(BusyError, match=r"\(prepare\)"), reading(other, "train"):
                pass
    with reading(path, "train"), reading(tmp_path / "link", "evaluate"):
        with pytest.raises(BusyError, match=r"\(train\)|\(evaluate\)"), replacing(path, DATA):
            pass
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data", "link"]


def test_what_lies_behind_a_link_is_the_user_s_too(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/mine.txt").write_text("mine")
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    with pytest.raises(OutputError, match=r"holds mine\.txt"), replacing(tmp_path / "data", DATA):
        pass
    assert tree(tmp_path) == {"disk/mine.txt": b"mine"}
