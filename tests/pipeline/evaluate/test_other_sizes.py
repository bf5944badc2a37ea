"""A model and pictures of another size: the remedy is one that helps, and nothing is left behind."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.cli.stage import Stage
from pipeline.config.loader import load
from pipeline.evaluate import stage as evaluate
from pipeline.pack import stage as pack

SHIPPED = Path(__file__).parents[3] / "models/heads64"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("stage", ["evaluate", "pack"])
def test_the_remedy_prepares_pictures_of_the_model_s_size(
    stage: str, packed: bool, data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SHIPPED, "models/own")
    if not packed:
        Path("models/own/params.yaml").unlink()
    there = sorted(tmp_path.rglob("*"))
    given = ["experiment=tiny", *data, "tracking=none", "model=models/own"]
    given += ["--to", "packed"] if stage == "pack" else []
    stages: dict[str, tuple[Stage, object]] = {
        "evaluate": (evaluate.STAGE, evaluate.run),
        "pack": (pack.STAGE, pack.run),
    }
    assert main(*stages[stage], given) == EXIT_ERROR  # pyright: ignore[reportArgumentType]
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"{stage}: models/own renders 64 x 64 pixels, but the images in ")
    assert " have 16 x 16: prepare images of its size" in said
    assert sorted(tmp_path.rglob("*")) == there

    told = re.search(r"python -m pipeline\.prepare (.*), and give these arguments here, too$", said)
    assert told is not None
    flags = shlex.split(told[1])
    params = Path(flags.pop(flags.index("--params") + 1)) if "--params" in flags else None
    asked = load([word for word in flags if not word.startswith("--")], params=params)
    assert (asked.data.size, asked.paths.train_data) == (64, "data/64/train")
    assert packed == (params is not None)
