"""One entry of a backbone's ``plugins`` list, and the checks on what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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
        raise ValueError(f"plugins={lines!r} is not a list of lines, such as {example}")


@dataclass(frozen=True)
class PluginLine:
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
        if not isinstance(self.cfg, dict) or "type" not in self.cfg:
            raise ValueError(
                f"{self.key}: cfg={self.cfg!r} is not a dict with a 'type', such as "
                "dict(type='nlse_mm.NonLocal2d')"
            )
        if self.position not in POSITIONS:
            raise ValueError(
                f"{self.key}: position={self.position!r} is not one of {POSITIONS}"
            )
        if self.blocks is not None and not _are_integers(self.blocks):
            raise ValueError(
                f"{self.key}: blocks={self.blocks!r} is not a tuple of integers, such "
                "as (-2,)"
            )

    @classmethod
    def parse(cls, line: dict[str, Any], key: str) -> "PluginLine":
        """Make one from a config's dict, refusing keys that mean nothing."""
        allowed = ("cfg", "position", "stages", "blocks")
        if not isinstance(line, dict):
            raise ValueError(f"{key}: {line!r} is not a dict with the keys {allowed}")
        for name in line:
            if name not in allowed:
                raise ValueError(f"{key}: the key {name!r} is not one of {allowed}")
        for name in ("cfg", "position"):
            if name not in line:
                raise ValueError(f"{key}: the key {name!r} is missing")
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
            raise ValueError(
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
            raise ValueError(
                f"{self.key}: blocks={tuple(self.blocks)} holds {block}, but "
                f"res{stage + 2} has {count} blocks, {-count} to {count - 1}"
            )
        return block % count


def _are_integers(values: object) -> bool:
    return isinstance(values, Sequence) and all(
        isinstance(v, int) and not isinstance(v, bool) for v in values
    )
