"""A configuration as a params.yaml that pins every option: the same run wherever it is read."""

from omegaconf import OmegaConf

from pipeline.config import as_dict, presets_of
from pipeline.schema import GROUPS, Config

HEADER = "# Every option is pinned: presets are named for form's sake, nothing is left to them.\n"


def pinned(config: Config) -> str:
    """The text of the file."""
    presets = {group: presets_of(group)[0] for group in GROUPS}
    return HEADER + OmegaConf.to_yaml(OmegaConf.create({"preset": presets, **as_dict(config)}))
