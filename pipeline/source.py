"""`python -m pipeline.source`: link to the user's images, by which DVC notices changes."""

import os
import sys
from pathlib import Path

from pipeline.cli.command import main
from pipeline.cli.console import say
from pipeline.cli.stage import Stage
from pipeline.config.schema import Config

STAGE = Stage(
    name="source",
    summary="""
Makes data/source a link to data.path, so that dvc repro prepares your own images again after changes:
dvc.yaml cannot name a folder that most configurations lack. For generated images it is a file that says so.
Nothing is copied, and only DVC reads it.""",
    groups=("data",),
    examples=(("dvc repro", "runs it before prepare"),),
)
LINK = Path("data/source")
GENERATED = "Pictures are generated: there is no source.\n"


def run(config: Config) -> None:
    """Create data/source in the working directory; ValueError if there is no source, or a foreign file."""
    source = _source(config)
    if source is not None and LINK.exists() and not LINK.is_symlink() and LINK.samefile(source):
        return  # the images themselves are there
    _make_way()
    if source is None:
        LINK.write_text(GENERATED, encoding="utf-8")
        return
    # relative inside of the project, which may be moved or copied as a whole
    inside = Path(os.path.abspath(source)).is_relative_to(Path.cwd())
    LINK.symlink_to(os.path.relpath(source, LINK.parent) if inside else source.absolute())
    say(f"source: {LINK} -> {source}")


def _source(config: Config) -> Path | None:
    """Path of the user's images; None for generated images."""
    if config.data.kind != "images":
        return None
    if config.data.path is None:
        raise ValueError("data.path is not set: it names a folder or zip of your own images")
    source = Path(config.data.path)
    if not source.exists():
        raise ValueError(
            f"data.path = {source} does not exist: correct it, or run stages without their dependencies: "
            "dvc repro --single-item train"
        )
    return source


def _make_way() -> None:
    LINK.parent.mkdir(parents=True, exist_ok=True)
    written = LINK.is_file() and LINK.stat().st_size == len(GENERATED)
    if LINK.is_symlink() or (written and LINK.read_text(encoding="utf-8") == GENERATED):
        LINK.unlink()
    elif LINK.exists():
        raise ValueError(f"{LINK} is not the link that this stage makes: move it elsewhere")


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
