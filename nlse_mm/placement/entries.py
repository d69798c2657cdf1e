"""Parse and check plugin entries of every kind, as a config writes them.

========================  =========================================================
``position=``             a place in residual blocks, with ``stages=``, ``blocks=``
``output=``               a feature map that a model returns
``after=``                a module of a model, by its path
``after_convs=``          convolutions of a keypoint head
========================  =========================================================
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, MISSING, dataclass, fields
from typing import Annotated, Any, ClassVar, TypeVar

from nlse_mm.arguments import fits
from nlse_mm.errors import ConfigError

from .plugin import check_plugin

# The annotation of ``plugins``, which fits everything: the parser checks the entries.
Entries = Annotated[Sequence[dict[str, Any]], "plugin entries"]

POSITIONS = (
    "before_conv1",
    "after_conv1",
    "after_conv2",
    "after_conv3",
    "on_identity",
    "after_block",
)


@dataclass(frozen=True)
class _Entry:
    """Hold what entries of every kind have: the plugin, and a name for messages.

    Args:
        cfg: The plugin's config: its ``type``, its arguments, perhaps a ``postfix`` for
            its name.
        key: Where the entry stands, such as ``plugins[0]``.

    Raises:
        ConfigError: For a value outside of what the kind documents.
    """

    example: ClassVar[str]

    cfg: dict[str, Any]
    _: KW_ONLY
    key: str = "plugins"

    def __post_init__(self) -> None:
        check_plugin(self.cfg, self.key)


EntryKind = TypeVar("EntryKind", bound=_Entry)


def parse_entries(plugins: Any, kind: type[EntryKind]) -> list[EntryKind]:
    """Make the entries of a ``plugins`` list; None is an empty one.

    Raises:
        ConfigError: If it is no list, or an entry isn't of that kind.
    """
    # None is what the toolboxes' own ``plugins`` defaults to.
    plugins = () if plugins is None else plugins
    if not isinstance(plugins, list | tuple):
        raise ConfigError(
            f"plugins={plugins!r} is not a list of plugin entries, such as "
            f"[dict(cfg=dict(type='nlse_mm.NonLocal2d'), {kind.example})]"
        )
    parsed = []
    for number, entry in enumerate(plugins):
        key = f"plugins[{number}]"
        _check_keys(entry, key, kind)
        parsed.append(kind(**entry, key=key))
    return parsed


def _check_keys(entry: Any, key: str, kind: type[_Entry]) -> None:
    # ``key`` is ours: where the entry stands, never a part of a config.
    own = [field for field in fields(kind) if field.name != "key"]
    allowed = tuple(field.name for field in own)
    if not isinstance(entry, dict):
        raise ConfigError(f"{key}: {entry!r} is not a dict with the keys {allowed}")
    for name in entry:
        if name not in allowed:
            raise ConfigError(f"{key}: the key {name!r} is not one of {allowed}")
    for field in own:
        if field.default is MISSING and field.name not in entry:
            raise ConfigError(f"{key}: the key {field.name!r} is missing")


@dataclass(frozen=True)
class BlockEntry(_Entry):
    """Place plugins at one position of residual blocks.

    Args:
        position: One of ``POSITIONS``.
        stages: One bool a stage, res2 first; every stage when None.
        blocks: Indices into the blocks of each chosen stage, negative ones from the
            end; every block when None.
    """

    example = "position='after_block'"

    position: str
    stages: Sequence[bool] | None = None
    blocks: Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.position not in POSITIONS:
            raise ConfigError(
                f"{self.key}: position={self.position!r} is not one of {POSITIONS}"
            )
        if self.blocks is not None and not _are_integers(self.blocks):
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

    def block_indices(self, blocks_per_stage: Sequence[int]) -> list[tuple[int, int]]:
        """Return the chosen ``(stage, block)`` pairs, both counted from 0.

        Args:
            blocks_per_stage: Number of blocks of each stage, such as (3, 4, 6, 3).

        Raises:
            ConfigError: If ``stages`` has another length, or ``blocks`` an index that a
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
        return list(dict.fromkeys(chosen))  # (-1, 5) may name one block twice

    def _resolve(self, block: int, stage: int, count: int) -> int:
        if not -count <= block < count:
            raise ConfigError(
                f"{self.key}: blocks={tuple(self.blocks or ())} holds {block}, but "
                f"res{stage + 2} has {count} blocks, {-count} to {count - 1}"
            )
        return block % count


@dataclass(frozen=True)
class ModelEntry(_Entry):
    """Place a plugin on a map that a model returns, or behind one of its modules.

    Args:
        output: The index of a returned map; None with ``after``.
        after: The path of a module, or a pattern of several; None with ``output``.
        in_channels: Channels of the map there; None to find them by a trial run.
        in_branch: Whether a place outside of a residual branch is refused.
    """

    example = "output=2"

    output: int | None = None
    after: str | None = None
    in_channels: int | None = None
    in_branch: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.output is None) == (self.after is None):
            raise ConfigError(
                f"{self.key}: output={self.output!r} and after={self.after!r}: a "
                "plugin entry has exactly one of the two"
            )
        if self.output is not None and not fits(self.output, int):
            raise ConfigError(
                f"{self.key}: output={self.output!r} is not an integer, such as 2"
            )
        if self.after is not None and not isinstance(self.after, str):
            raise ConfigError(
                f"{self.key}: after={self.after!r} is not a path like 'layer3.4'"
            )
        channels = self.in_channels
        if channels is not None and not (fits(channels, int) and channels > 0):
            raise ConfigError(
                f"{self.key}: in_channels={channels!r} is not a number of channels"
            )

        if type(self.in_branch) is not bool or (self.in_branch and self.after is None):
            raise ConfigError(
                f"{self.key}: in_branch={self.in_branch!r} is not True or False beside "
                "after="
            )

    @property
    def place(self) -> str:
        """Return the place as the config has it."""
        if self.after is None:
            return f"output={self.output}"
        return f"after={self.after!r}"

    @property
    def needs_run(self) -> bool:
        """Return whether only a run of the model says what the entry leaves open."""
        is_known = self.in_channels is not None and (self.output or 0) >= 0
        return self.in_branch or not is_known


@dataclass(frozen=True)
class ConvEntry(_Entry):
    """Place plugins behind convolutions of a keypoint head.

    Args:
        after_convs: Indices of the convolutions, counted from 0.
    """

    example = "after_convs=(1, 3, 5, 7)"

    after_convs: Sequence[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _are_integers(self.after_convs):
            raise ConfigError(
                f"{self.key}: after_convs={self.after_convs!r} is not a tuple of "
                "integers, such as (1, 3, 5, 7)"
            )

    def check(self, num_convs: int) -> None:
        """Raise ConfigError if the head lacks one of the convolutions."""
        for i in self.after_convs:
            if i not in range(num_convs):
                raise ConfigError(
                    f"{self.key}: after_convs={tuple(self.after_convs)} has {i}, which "
                    f"is not in 0 to {num_convs - 1} (num_convs={num_convs})"
                )


def _are_integers(values: object) -> bool:
    """Return whether ``values`` is a sequence of integers, bools not counted."""
    return fits(values, Sequence[int])
