"""A configuration as a params.yaml that pins every option: the same run wherever it is read."""

from omegaconf import OmegaConf

from pipeline.config import as_dict, presets_of
from pipeline.options import all_options
from pipeline.schema import GROUPS, Config

HEADER = "# Every option is pinned: presets are named for form's sake, nothing is left to them.\n"


def pinned(config: Config, *, given_away: bool = False) -> str:
    """The text of the file.

    Args:
        config: of the run.
        given_away: whether others get it: it then says nothing of this machine's folders and servers.
    """
    presets = {group: presets_of(group)[0] for group in GROUPS}
    tree = OmegaConf.create({"preset": presets, **as_dict(config)})
    if given_away:
        for name in [name for name, option in all_options().items() if option.metadata["local"]]:
            section, _, key = name.rpartition(".")
            del OmegaConf.select(tree, section)[key]
        del tree["paths"]
    return HEADER + OmegaConf.to_yaml(tree)
