"""A configuration as a params.yaml that pins every option: the same run wherever it is read."""

from omegaconf import OmegaConf

from pipeline.config import as_dict, presets_of
from pipeline.schema import GROUPS, Config


def pinned(config: Config) -> str:
    """The text of the file; its presets are named for form's sake, as nothing is left to them."""
    presets = {group: presets_of(group)[0] for group in GROUPS}
    return OmegaConf.to_yaml(OmegaConf.create({"preset": presets, **as_dict(config)}))
