"""Recognise published weights by their keys, and give the keys our names.

timm-legacy  the SENet authors' Caffe weights as Cadene and timm ported them:
             layer0.conv1, layer1.0.se_module.fc1, last_linear
timm         conv1 (conv1.0, conv1.3, conv1.6 in a deep stem), layer1.0.se.fc1, fc
mmpretrain   ours, with or without backbone. in front: layer1.0.se_layer.conv1.conv
torchvision  ours, for a backbone without SE layers: conv1, layer1.0.conv1, fc

A backbone without SE layers has torchvision's names in timm and MMPretrain too.
"""

import re
from collections.abc import Collection
from typing import Any

from nlse_mm.errors import CheckpointError, ConfigError

# In this order: the mark of a family, wherever a prefix leaves it.
_SIGNS = {
    "timm-legacy": r"(^|\.)layer0\.",
    "timm": r"\.se\.fc1\.|(^|\.)conv1\.0\.",
    "mmpretrain": r"^backbone\.|\.se_layer\.",
    "torchvision": r"^layer1\.",
}
FAMILIES = tuple(_SIGNS)

# The parts of a ResNet; what is beside them (a classifier, a neck) isn't its.
_BACKBONE = re.compile(r"(stem|conv1|[bgil]n1|layer\d+)\.")


def family_of(keys: Collection[str], name: str, source: str | None = None) -> str:
    """Return the family of weights with these keys.

    Args:
        keys: All keys of the weights.
        name: What to call the weights in an error.
        source: The family that the user named.

    Raises:
        ConfigError: For a ``source`` that is no family.
        CheckpointError: If the keys are of no family, or not of ``source``.
    """
    if source is not None and source not in _SIGNS:
        raise ConfigError(f"source={source!r} is not one of {FAMILIES}")
    for family in [source] if source else FAMILIES:
        if any(re.search(_SIGNS[family], key) for key in keys):
            return family
    if source in ("timm", "mmpretrain") and family_of(keys, name) == "torchvision":
        return source
    for key in sorted(keys):
        found = re.match(r"(?!layer\d|backbone\.layer)(.+?\.)layer\d+\.", key)
        if found:
            raise CheckpointError(
                f"{name} has {found[1]!r} before its keys, as in {key}: the weights of "
                f"{source or 'a ResNet'} are found where no more than 'backbone.' is"
            )
    raise CheckpointError(
        f"{name} holds no weights of {source or 'a ResNet'}: it has keys such as "
        f"{', '.join(sorted(keys)[:3]) or 'none'}"
    )


def our_names(keys: Collection[str], family: str) -> dict[str, str]:
    """Return our name for each key of a backbone; keys of other parts are left out.

    Args:
        keys: Keys without a prefix such as ``backbone.``.
        family: One of ``FAMILIES``.
    """
    renames = _renames(keys, family)
    names = {}
    for key in keys:
        name = key
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        if _BACKBONE.match(name):
            names[key] = name
    return names


def _renames(keys: Collection[str], family: str) -> list[tuple[str, str]]:
    if family == "timm":
        deep = [(r"^bn1\.", "stem.7."), (r"^conv1\.(\d)\.", r"stem.\1.")]
        excitation = (r"\.se\.fc([12])\.", r".se_layer.conv\1.conv.")
        return [excitation] + deep * any(k.startswith("conv1.0.") for k in keys)
    if family == "timm-legacy":
        deep = []
        for i in range(3) if any(k.startswith("layer0.conv3.") for k in keys) else ():
            deep.append((rf"^layer0\.conv{i + 1}\.", f"stem.{3 * i}."))
            deep.append((rf"^layer0\.bn{i + 1}\.", f"stem.{3 * i + 1}."))
        excitation = (r"\.se_module\.fc([12])\.", r".se_layer.conv\1.conv.")
        return [excitation, *deep, (r"^layer0\.", "")]
    return []


def with_stem_of(own: Collection[str], weights: dict[str, Any]) -> dict[str, Any]:
    """Return weights in our names with those of a deep stem as the backbone has them.

    MMPretrain's holds each norm beside its convolution: what is ``stem.3`` and
    ``stem.4`` in the other toolboxes is ``stem.1.conv`` and ``stem.1.bn`` there.

    Args:
        own: The backbone's keys.
        weights: The weights by our names.
    """
    if "stem.0.conv.weight" not in own or "stem.0.conv.weight" in weights:
        return weights
    return {_STEM.sub(_stem_of_modules, key): value for key, value in weights.items()}


_STEM = re.compile(r"^stem\.(\d)\.")


def _stem_of_modules(found: re.Match[str]) -> str:
    module, layer = divmod(int(found[1]), 3)  # each a convolution, a norm, a ReLU
    return f"stem.{module}.{('conv', 'bn')[layer]}."
