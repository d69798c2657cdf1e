"""Read published weights in our names, and fill a backbone with them, or refuse."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from nlse_mm.checkpoint.coverage.counted_keys import is_counter
from nlse_mm.checkpoint.coverage.hints import listing
from nlse_mm.checkpoint.coverage.weights import weights_of, without_wrappers
from nlse_mm.errors import CheckpointError

from .families import FAMILIES, family_of, our_names, with_stem_of


@dataclass(frozen=True)
class Published:
    """Hold weights of a backbone in our names.

    ``family`` is one of ``FAMILIES``; ``left_over`` are the source's keys that aren't a
    backbone's, such as its classifier's.
    """

    name: str
    family: str
    weights: dict[str, Tensor]
    left_over: list[str]


def load_state_dict_from(path: str, source: str | None = None) -> dict[str, Tensor]:
    """Return weights of a backbone in our names, published by another library.

    Args:
        path: A file (.pth, .bin, .safetensors), or a name such as
            ``timm://seresnet50.a1_in1k`` or ``mmcls://se-resnet50``.
        source: ``timm``, ``timm-legacy``, ``mmpretrain`` or ``torchvision``; found by
            the keys if not given.

    Raises:
        ConfigError: For another ``source``.
        CheckpointError: If there are no such weights in it, or it can't be loaded.
    """
    return read_published(path, source=source).weights


def read_published(
    path: str,
    *,
    source: str | None = None,
    prefix: str | None = None,
    map_location: Any = "cpu",
) -> Published:
    """Read weights as :func:`load_state_dict_from`, with where they come from.

    Args:
        path: A file or a name, as there.
        source: A family, as there.
        prefix: What stands before the backbone's keys, with a wrapper's ``module.`` or
            without. ``backbone.`` needn't be given, nor need it be there: behind
            ``mmcls://`` it is already taken off.
        map_location: As in ``torch.load``.
    """
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location, logger="silent")
    return published_in(checkpoint, path, source=source, prefix=prefix)


def published_in(
    checkpoint: Mapping[str, Any],
    path: str,
    *,
    source: str | None = None,
    prefix: str | None = None,
) -> Published:
    """Return what :func:`read_published` does, of a checkpoint that is loaded."""
    weights = weights_of(checkpoint, path)
    meta = checkpoint.get("meta")
    noted = meta.get("converted_from") if isinstance(meta, dict) else None
    bare = _bare_keys(weights, prefix, path)
    # Ours, once converted, have the keys of torchvision's or MMPretrain's.
    if isinstance(noted, str) and noted in FAMILIES and source in (None, noted):
        family = noted
    else:
        family = family_of([*weights, *bare], path, source)
    names = our_names(bare, family)
    if family == "timm-legacy" and not any(".conv3." in key for key in names):
        raise CheckpointError(
            f"{path} is a legacy SE-ResNet-18 or 34, which has a ReLU before each SE "
            "layer, and no backbone here has; the legacy weights from depth 50 on load"
        )
    ours = {name: weights[bare[key]] for key, name in names.items()}
    left_over = sorted(weights.keys() - {bare[key] for key in names})
    return Published(path, family, ours, left_over)


def fill_backbone(
    backbone: nn.Module, published: Published, new: Collection[str] = ()
) -> None:
    """Load the weights into ``backbone`` and log how many keys were used.

    Args:
        backbone: A ResNet in our names.
        published: The weights.
        new: Prefixes of layers whose keys may be missing: plugins.

    Raises:
        CheckpointError: If a key of the backbone isn't covered, or the weights are of
            another depth; nothing is loaded then.
    """
    own = {k: v for k, v in backbone.state_dict().items() if not is_counter(k)}
    name, weights = published.name, with_stem_of(own, published.weights)
    required = {k: v for k, v in own.items() if not k.startswith(tuple(new))}
    _check_cover(required, weights, name)
    counters = {key: value for key, value in weights.items() if is_counter(key)}
    fitting = {
        key: value
        for key, value in weights.items()
        if key in own and own[key].shape == value.shape
    }
    backbone.load_state_dict(fitting | counters, strict=False)
    surplus = weights.keys() - fitting.keys() - counters.keys()
    unused = sorted(surplus | set(published.left_over))
    rest = f"; {len(unused)} not used: {listing(unused, 3)}" if unused else ""
    print_log(
        f"{name} ({published.family}): {len(fitting)} keys fill the backbone{rest}",
        logger="current",
    )


def _check_cover(
    required: dict[str, Tensor], weights: dict[str, Tensor], name: str
) -> None:
    _check_depth(required, weights, name)
    missing = sorted(required.keys() - weights.keys())
    if missing:
        without_se = all(".se_layer." in key for key in missing)
        hint = "; they are of a backbone without SE layers" if without_se else ""
        raise CheckpointError(
            f"{name} does not cover the backbone: missing keys {listing(missing, 3)}, "
            f"{len(missing)} of the backbone's {len(required)}{hint}"
        )
    for key, value in required.items():
        if value.shape != weights[key].shape:
            raise CheckpointError(
                f"{name} is of another backbone: its {key} is "
                f"{tuple(weights[key].shape)}, the backbone's is {tuple(value.shape)}"
            )


def _bare_keys(keys: Collection[str], prefix: str | None, name: str) -> dict[str, str]:
    """Return the backbone's keys without a prefix, and the whole key of each."""
    bare = without_wrappers(prefix or "backbone.").rstrip(".")
    optional = prefix is None or bare == "backbone"
    start = bare + "." if bare else ""
    chosen = {k[len(start) :]: k for k in keys if k.startswith(start)}
    if not chosen and not optional:
        begins = sorted({key.split(".")[0] for key in keys})
        raise CheckpointError(
            f"{name} has no key that begins with prefix={prefix!r}, but with "
            f"{listing(begins, 3)}"
        )
    return chosen or {key: key for key in keys}


def _check_depth(own: Collection[str], given: Collection[str], name: str) -> None:
    ours, theirs = _blocks(own), _blocks(given)
    for stage in sorted(ours.keys() & theirs.keys()):
        if ours[stage] != theirs[stage]:
            least, most = sorted((ours[stage], theirs[stage]))
            raise CheckpointError(
                f"{name} is of another depth: its {stage} has {theirs[stage]} blocks, "
                f"the backbone's has {ours[stage]}, so that {stage}.{least} to "
                f"{stage}.{most - 1} have no match"
            )


def _blocks(keys: Collection[str]) -> dict[str, int]:
    """Return the number of blocks of each stage."""
    numbers: dict[str, int] = {}
    for key in keys:
        found = re.match(r"(layer\d+)\.(\d+)\.", key)
        if found:
            stage, block = found.groups()
            numbers[stage] = max(numbers.get(stage, 0), int(block) + 1)
    return numbers
