"""Place plugins in the residual blocks of a built ResNet."""

from torch import nn

from nlse_mm.errors import ConfigError

from .block_parts import parts_of
from .entries import BlockEntry, Entries, parse_entries
from .mixin import mix_in, return_itself
from .plugged_backbone import PluggedBackbone
from .plugin import build_plugin, log_plugin, warn_of_no_plugin
from .residual_block import add_plugin, channels_at, positions_of, stages_of
from .volumes import check_takes_volumes


def place_in_blocks(
    backbone: nn.Module,
    plugins: Entries | None,
    mixin: type[PluggedBackbone] = PluggedBackbone,
) -> None:
    """Build the plugins of entries with ``position`` into ``backbone``, a ResNet.

    Nothing of the backbone is renamed. Each placed plugin is logged.

    Args:
        backbone: The ResNet.
        plugins: The entries.
        mixin: What keeps the plugins of such a backbone trainable and initialised.

    Raises:
        ConfigError: For an entry that can't be placed; it names the key and the value.
    """
    stages = stages_of(backbone)
    names = tuple(stages)
    for entry in parse_entries(plugins, BlockEntry):
        places = entry.block_indices([len(s) for s in stages.values()])
        if not places:
            setting = f"stages={entry.stages!r} and blocks={entry.blocks!r} together"
            warn_of_no_plugin(entry.key, setting)
        for number, index in places:
            stage = stages[names[number]]
            block = stage[index]
            if entry.position not in positions_of(block):
                raise ConfigError(
                    f"{entry.key}: position={entry.position!r} is not one of the "
                    f"positions of this backbone's blocks, {positions_of(block)}"
                )
            channels = channels_at(block, entry.position)
            name, plugin = build_plugin(entry.cfg, channels, entry.key)
            if parts_of(block).volumes:
                check_takes_volumes(plugin, channels, entry.key)
            name = add_plugin(block, entry.position, name, plugin)
            where = f"block {index} of {len(stage)} of res{number + 2}"
            path = f"{names[number]}.{index}.{name}"
            log_plugin(plugin, f"{entry.position} in {where}", path, channels)
    if plugins:
        mix_in(backbone, mixin)
    else:
        return_itself(backbone)  # without plugins it keeps its class
