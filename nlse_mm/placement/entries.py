"""One entry of a backbone's ``plugins`` list, and the checks on what it says."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from nlse_mm.arguments import fits, is_registered, near_names
from nlse_mm.errors import ConfigError
from nlse_mm.registry import MODELS
from nlse_mm.toolbox import why_broken

# What a backbone's signature says of ``plugins``; who parses the entries checks them.
Entries = Annotated[Sequence[dict[str, Any]], "plugin entries"]

POSITIONS = (
    "before_conv1",
    "after_conv1",
    "after_conv2",
    "after_conv3",
    "on_identity",
    "after_block",
)


def check_is_list(lines: Any, example: str) -> None:
    """ValueError unless ``plugins`` is a list, or a tuple."""
    if not isinstance(lines, list | tuple):
        raise ConfigError(
            f"plugins={lines!r} is not a list of lines, such as {example}"
        )


def check_keys(
    entry: Any, key: str, allowed: Sequence[str], required: Sequence[str]
) -> None:
    """ValueError for a plugin entry that is no dict, or has other keys."""
    if not isinstance(entry, dict):
        raise ConfigError(f"{key}: {entry!r} is not a dict with the keys {allowed}")
    for name in entry:
        if name not in allowed:
            raise ConfigError(f"{key}: the key {name!r} is not one of {allowed}")
    for name in required:
        if name not in entry:
            raise ConfigError(f"{key}: the key {name!r} is missing")


def check_plugin(cfg: Any, key: str) -> None:
    """ValueError for an entry's ``cfg`` that doesn't say which plugin to build."""
    if not isinstance(cfg, dict) or "type" not in cfg:
        raise ConfigError(
            f"{key}: cfg={cfg!r} is not a dict with a 'type', such as "
            "dict(type='nlse_mm.NonLocal2d')"
        )
    kind, postfix = cfg["type"], cfg.get("postfix", "")
    if isinstance(postfix, bool) or not isinstance(postfix, int | str):
        raise ConfigError(
            f"{key}: postfix={postfix!r} is not a string or an integer, such as '_2'"
        )
    if "." in str(postfix):
        raise ConfigError(
            f"{key}: postfix={postfix!r} has a dot; a module's name can't"
        )
    if "in_channels" in cfg:
        raise ConfigError(
            f"{key}: in_channels={cfg['in_channels']!r}: a plugin's channels are those "
            "of its place; leave the key out"
        )
    scope, dot, _ = kind.partition(".") if isinstance(kind, str) else ("", "", "")
    if dot and (why := why_broken(scope, "MODELS")):
        raise ConfigError(f"{key}: type={kind!r} is not to be had: {why}")
    is_name = isinstance(kind, str) and is_registered(kind)
    if not is_name and not inspect.isclass(kind):
        ours = [f"nlse_mm.{name}" for name in plugin_types()]
        near = near_names(str(kind), ours, otherwise=False)
        raise ConfigError(
            f"{key}: type={kind!r} is not a registered plugin{near}; nlse_mm has "
            f"{', '.join(map(repr, ours))}, and MMCV's 'NonLocal2d', 'ContextBlock' "
            "and others go as well"
        )


def plugin_types() -> list[str]:
    """Names of the plugins that nlse_mm registers."""
    MODELS.import_from_location()
    return [n for n, c in MODELS.module_dict.items() if hasattr(c, "_abbr_")]


@dataclass(frozen=True)
class BlockEntry:
    """One entry of a backbone's ``plugins`` list.

    Args:
        cfg: The plugin's config: its ``type``, its arguments, perhaps a ``postfix`` for
            its name.
        position: One of ``POSITIONS``.
        stages: One bool a stage, res2 first; every stage when None.
        blocks: Indices into the blocks of each chosen stage, negative ones from the
            end; every block when None.
        key: What to call the line in an error.

    Raises:
        ValueError: For a value outside the above. TypeError: for a wrong type.
    """

    cfg: dict[str, Any]
    position: str
    stages: Sequence[bool] | None = None
    blocks: Sequence[int] | None = None
    key: str = field(default="plugins", compare=False)

    def __post_init__(self) -> None:
        check_plugin(self.cfg, self.key)
        if self.position not in POSITIONS:
            raise ConfigError(
                f"{self.key}: position={self.position!r} is not one of {POSITIONS}"
            )
        if self.blocks is not None and not are_integers(self.blocks):
            raise ConfigError(
                f"{self.key}: blocks={self.blocks!r} is not a tuple of integers, such "
                "as (-2,)"
            )
        # Not 2 or 3: a stage's number in place of its bool.
        if self.stages is not None and not fits(self.stages, Sequence[bool]):
            raise ConfigError(
                f"{self.key}: stages={self.stages!r} is not a tuple of bools, one a "
                "stage, such as (False, False, True, False)"
            )

    @classmethod
    def parse(cls, line: dict[str, Any], key: str) -> "BlockEntry":
        """Make one from a config's dict, refusing keys that mean nothing."""
        allowed = ("cfg", "position", "stages", "blocks")
        check_keys(line, key, allowed, required=("cfg", "position"))
        return cls(**line, key=key)

    def block_indices(self, blocks_per_stage: Sequence[int]) -> list[tuple[int, int]]:
        """The chosen ``(stage, block)`` pairs, both counted from 0.

        Args:
            blocks_per_stage: Number of blocks of each stage, such as (3, 4, 6, 3).

        Raises:
            ValueError: If ``stages`` has another length, or ``blocks`` an index that a
                chosen stage doesn't have.
        """
        stages = self.stages
        if stages is None:
            stages = [True] * len(blocks_per_stage)
        if len(stages) != len(blocks_per_stage):
            raise ConfigError(
                f"{self.key}: stages={tuple(stages)} has {len(stages)} entries; the "
                f"backbone has num_stages={len(blocks_per_stage)}"
            )
        chosen = []
        for stage, (wanted, count) in enumerate(
            zip(stages, blocks_per_stage, strict=True)
        ):
            if wanted:
                blocks = range(count) if self.blocks is None else self.blocks
                chosen += [(stage, self._resolve(b, stage, count)) for b in blocks]
        return list(dict.fromkeys(chosen))

    def _resolve(self, block: int, stage: int, count: int) -> int:
        if not -count <= block < count:
            raise ConfigError(
                f"{self.key}: blocks={tuple(self.blocks)} holds {block}, but "
                f"res{stage + 2} has {count} blocks, {-count} to {count - 1}"
            )
        return block % count


def parse_entries(plugins: Any) -> list[BlockEntry]:
    """Make the entries of a backbone's ``plugins``; ValueError for what means nothing.

    None is an empty list.
    """
    plugins = () if plugins is None else plugins
    check_is_list(
        plugins, "[dict(cfg=dict(type='nlse_mm.NonLocal2d'), position='after_block')]"
    )
    return [BlockEntry.parse(line, f"plugins[{i}]") for i, line in enumerate(plugins)]


def are_integers(values: object) -> bool:
    """Whether ``values`` is a sequence of integers, bools not counted."""
    return fits(values, Sequence[int])
