"""A configuration as a params.yaml that pins every option: the same run wherever it is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.config.loader import PROJECT, as_dict, presets_of
from pipeline.config.options import all_options
from pipeline.config.schema import GROUPS, Config

HEADER = "# Every option is pinned: presets are named for form's sake, nothing is left to them.\n"
PRIVATE = ("tracking", "paths")
"""Sections about a person's own machine and server, which say nothing about a result."""


def pinned(config: Config) -> str:
    """The text of the file, for this machine alone: it holds paths and where runs are recorded."""
    return _text(as_dict(config))


def shareable(config: Config) -> str:
    """The text of the file to give away: no paths, no address of a server or a machine.

    Files of one's own are named without their folders.
    """
    tree = without_private(as_dict(config))
    del tree["train"]["launch"]
    for option in filter(is_file_option, all_options()):
        group, _, name = option.partition(".")
        tree[group][name] = without_folders(tree[group][name])
    return _text(tree)


def without_private(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of a configuration without what tells of a person's own machine and server."""
    local = {name for name, option in all_options().items() if option.metadata["local"]}

    def kept(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        return {
            name: kept(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
            for name, value in tree.items()
            if name not in PRIVATE and f"{prefix}{name}" not in local
        }

    return kept(settings)


def without_folders(path: str | None) -> str | None:
    """A path as others may see it: as it is where it is relative and stays below, else its last name."""
    if path is None:
        return None
    parts = Path(path).parts
    stays = not Path(path).is_absolute() and ".." not in parts and not path.startswith("~")
    return path if stays else parts[-1]


def is_file_option(name: str) -> bool:
    """Whether a dotted option names a file or a folder outside of the project's own."""
    option = all_options().get(name)
    return option is not None and option.metadata["path"] and not option.metadata["local"]


def without_own_folders(text: str) -> str:
    """Words for others, such as an error's: the project and the home folder without their places."""
    for folder, shown in ((str(PROJECT), "."), (str(Path.home()), "~")):
        if len(Path(folder).parts) > 1:
            text = text.replace(folder, shown)
    return text


def _text(tree: dict[str, Any]) -> str:
    presets = {group: presets_of(group)[0] for group in GROUPS}
    return HEADER + OmegaConf.to_yaml(OmegaConf.create({"preset": presets, **tree}))
