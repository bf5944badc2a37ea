"""`python -m pipeline.source`: the user's own pictures where DVC sees that they change."""

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
Makes data/source a link to data.path, so that dvc repro prepares pictures of your own anew when they have
changed: dvc.yaml cannot name a folder that most configurations do not have. Where pictures are generated, it
is a file that says so. Nothing is copied, and nothing but DVC reads it.""",
    groups=("data",),
    examples=(("dvc repro", "runs it before prepare"),),
)
LINK = Path("data/source")
GENERATED = "Pictures are generated: there is no source.\n"


def run(config: Config) -> None:
    """Make data/source, relative to where the stage is started, as dvc.yaml says.

    Raises:
        ValueError: data.path is missing or names nothing, or something else is in the link's place.
        OSError: it cannot be made.
    """
    source = _source(config)
    if source is not None and LINK.exists() and not LINK.is_symlink() and LINK.samefile(source):
        return  # the pictures themselves lie there
    _make_way()
    if source is None:
        LINK.write_text(GENERATED, encoding="utf-8")
        return
    LINK.symlink_to(os.path.relpath(source, LINK.parent) if _is_inside(source) else source.absolute())
    say(f"source: {LINK} -> {source}")


def _source(config: Config) -> Path | None:
    """What data.path names; None where pictures are generated."""
    if config.data.kind != "images":
        return None
    if config.data.path is None:
        raise ValueError("data.path is not set: it names a folder or zip of your own pictures")
    source = Path(config.data.path)
    if not source.exists():
        raise ValueError(
            f"data.path = {source}: nothing is there; correct it, or run stages without their dependencies: "
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


def _is_inside(source: Path) -> bool:
    """Whether a path lies in the project, which may be moved or copied as a whole."""
    return Path(os.path.abspath(source)).is_relative_to(Path.cwd())


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
