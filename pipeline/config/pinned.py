"""Complete configurations as params.yaml: the same run wherever it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.config.loader import as_dict
from pipeline.config.options import all_options
from pipeline.config.presets import presets_of
from pipeline.config.schema import GROUPS, Config
from pipeline.config.yaml_reading import PROJECT

HEADER = "# Every option is set below: the presets have no effect.\n"
PRIVATE = ("tracking", "paths")
"""Sections about a user's machine and server, without effect on results."""


def pinned(config: Config) -> str:
    """Text of the file for this machine only: it has paths and the tracking server."""
    return _text(as_dict(config))


def shareable(config: Config) -> str:
    """Text of the file for publication: without paths and addresses; files lack their folders."""
    tree = without_private(as_dict(config))
    del tree["train"]["launch"]
    for option in filter(is_file_option, all_options()):
        group, _, name = option.partition(".")
        tree[group][name] = without_folders(tree[group][name])
    return _text(tree)


def without_private(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of a configuration without options about a user's machine and server."""
    local = {name for name, option in all_options().items() if option.metadata["local"]}

    def kept(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        return {
            name: kept(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
            for name, value in tree.items()
            if name not in PRIVATE and f"{prefix}{name}" not in local
        }

    return kept(settings)


def without_folders(path: str | None) -> str | None:
    """Path for publication: unchanged if relative and below the working directory, else its last name."""
    if path is None:
        return None
    parts = Path(path).parts
    stays = not Path(path).is_absolute() and ".." not in parts and not path.startswith("~")
    return path if stays else parts[-1]


def is_file_option(name: str) -> bool:
    """True if an option, by dotted name, is a file or folder of the user's, not one of `paths`."""
    option = all_options().get(name)
    return option is not None and option.metadata["path"] and not option.metadata["local"]


def without_own_folders(text: str) -> str:
    """Text for publication, such as an error: with . for the project folder and ~ for the home folder."""
    for folder, shown in ((str(PROJECT), "."), (str(Path.home()), "~")):
        if len(Path(folder).parts) > 1:
            text = text.replace(folder, shown)
    return text


def _text(tree: dict[str, Any]) -> str:
    presets = {group: presets_of(group)[0] for group in GROUPS}
    return HEADER + OmegaConf.to_yaml(OmegaConf.create({"preset": presets, **tree}))
