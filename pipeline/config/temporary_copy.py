"""The project itself, where a stage runs in one of DVC's temporary copies of it.

`dvc exp run --temp` and `--queue` run the stages in .dvc/tmp/exps/NAME of the project, which DVC removes
afterwards. What has to outlast a stage and is no output of it (runs, unfinished training) belongs into the
project that the copy was made of.
"""

from pathlib import Path

from pipeline.config.loader import PROJECT

_COPIES = (".dvc", "tmp", "exps")


def original(folder: Path) -> Path | None:
    """The project that a folder is a temporary copy of, or lies in one of; None for any other folder."""
    parts = folder.absolute().parts
    for start in range(len(parts) - len(_COPIES)):
        if parts[start : start + len(_COPIES)] == _COPIES and start + len(_COPIES) < len(parts):
            return Path(*parts[:start])
    return None


def project() -> Path:
    """The project; the original where this program lies in a temporary copy."""
    return original(PROJECT) or PROJECT


def lasting(path: str) -> Path:
    """A path of the configuration, in the original where the working directory is a temporary copy's."""
    home = original(Path.cwd())
    return Path(path) if home is None else home / path
