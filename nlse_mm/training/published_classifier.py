"""Take the weights of a whole classifier as timm and the SENet authors published them.

Their backbones are those of ``nlse_mm.checkpoint.conversion``; here the classifier
comes as well, and images have to be resized as they were for the published number.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from torch import nn

from nlse_mm.checkpoint.conversion.families import family_of, with_stem_of
from nlse_mm.checkpoint.conversion.published import Published, published_in
from nlse_mm.errors import CheckpointError

# By family: what it calls the classifier, and how it resizes images (timm 1.0.31's
# default_cfgs). MMPretrain's has our keys, as a training of one's own has.
_CLASSIFIER = {"timm-legacy": "last_linear", "timm": "fc"}
_INTERPOLATION = {"timm-legacy": "bilinear", "timm": "bicubic"}
_OURS = "head.fc"  # in MMPretrain's classifiers


def published_classifier(
    model: nn.Module, weights: Mapping[str, Any], path: str
) -> Published | None:
    """Return published weights of a whole classifier; None if they aren't such.

    Args:
        model: The built model, a classifier with an SE backbone of ours to take them.
        weights: What was loaded.
        path: The checkpoint's name, for the messages.
    """
    takes = hasattr(getattr(model, "backbone", None), "check_published")
    if not takes or f"{_OURS}.weight" not in model.state_dict():
        return None
    try:
        family = family_of(weights, path)
    except CheckpointError:  # of a model that isn't a ResNet
        return None
    return published_in(weights, path) if family in _CLASSIFIER else None


def named_as_in(
    model: nn.Module, published: Published, weights: Mapping[str, Any]
) -> dict[str, Any]:
    """Return published weights under the keys of a classifier of MMPretrain."""
    own = model.get_submodule("backbone").state_dict()
    backbone = with_stem_of(own, published.weights)
    renamed = {f"backbone.{key}": value for key, value in backbone.items()}
    theirs = _CLASSIFIER[published.family]
    for name in ("weight", "bias"):
        if f"{theirs}.{name}" in weights:
            renamed[f"{_OURS}.{name}"] = weights[f"{theirs}.{name}"]
    return renamed


def check_images(cfg: Config, published: Published) -> None:
    """Raise CheckpointError if a test resizes images as another family does."""
    wanted = _INTERPOLATION[published.family]
    for key, step in _resizing((cfg.get("test_dataloader") or {}).get("dataset")):
        found = step.get("interpolation", "bilinear")
        if found != wanted:
            raise CheckpointError(
                f"{published.name} ({published.family}) wants images that were resized "
                f"with interpolation={wanted!r}, and test_dataloader.dataset{key} of "
                f"type {step['type']!r} has {found!r}"
            )


def _resizing(dataset: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    pipeline = dataset.get("pipeline") if isinstance(dataset, Mapping) else None
    for number, step in enumerate(pipeline or ()):
        if isinstance(step, Mapping) and "Resize" in str(step.get("type")):
            yield f".pipeline[{number}]", step
