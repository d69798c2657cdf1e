"""Build what is exported of a config's model: a detector's maps, a segmentor's logits.

Shapes: N batch, C channels, K classes, H height, W width.
"""

import logging
import warnings
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from nlse_mm.analysis.random_weights import fill_with_random_weights
from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import DETECTION, SEGMENTATION, Toolbox
from nlse_mm.training.check_weights import load_checked
from nlse_mm.training.config import is_file_or_remote, load_config


class Features(nn.Module):
    """A detector's backbone and neck: images (N, 3, H, W) to its maps (N, C, h, w)."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        # Not the detector, whose heads would be written as well.
        self.backbone = detector.backbone
        self.neck = detector.neck if detector.with_neck else nn.Identity()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.neck(self.backbone(images)))


class Logits(nn.Module):
    """A segmentor without its loss: images (N, 3, H, W) to logits (N, K, H, W).

    It is the model's whole inference, the last resizing included, whether its
    ``test_cfg`` says so or wants a window that slides.
    """

    def __init__(self, segmentor: nn.Module):
        super().__init__()
        segmentor.auxiliary_head = None
        self.segmentor = segmentor

    def forward(self, images: Tensor) -> Tensor:
        return self.segmentor.encode_decode(images, [dict(img_shape=images.shape[2:])])


@dataclass(frozen=True)
class Kind:
    """Describe what can be exported of a toolbox's models.

    Args:
        toolbox: The toolbox.
        base: The name of its models' base class.
        needs: What such a model must have.
        part: Makes of it what is exported.
    """

    toolbox: Toolbox
    base: str
    needs: str
    part: Callable[[nn.Module], nn.Module]

    def owns(self, model: nn.Module) -> bool:
        """Return whether a model is of this kind, whatever scope its config has."""
        return any(
            cls.__name__ == self.base and self.toolbox.owns(cls)
            for cls in type(model).__mro__
        )

    def fits(self, model: nn.Module) -> bool:
        """Return whether a model is of this kind, with what is exported of it."""
        return self.owns(model) and callable(getattr(model, self.needs, None))


KINDS = (
    Kind(DETECTION, "BaseDetector", "backbone", Features),
    Kind(SEGMENTATION, "BaseSegmentor", "encode_decode", Logits),
)


def quiet() -> None:
    """Silence what libraries log and warn of while they build and record a model."""
    warnings.filterwarnings("ignore")
    MMLogger.get_instance("export", log_level="ERROR")
    logging.disable(logging.WARNING)


def build(args: Namespace) -> tuple[nn.Module, Config]:
    """Return what is exported of the model of ``args.config``, and the config.

    The weights are those of ``args.checkpoint``; without one they are random, and the
    same in each process.

    Raises:
        ConfigError: For a config or a checkpoint that can't be used.
    """
    config, path = load_config(args), args.checkpoint
    if path is not None and not is_file_or_remote(path):
        raise ConfigError(f"the checkpoint {path} does not exist")
    with DefaultScope.overwrite_default_scope(config.get("default_scope")):
        model = MODELS.build(ConfigDict(config.model))
    model = revert_sync_batchnorm(model)
    kind = next((kind for kind in KINDS if kind.fits(model)), None)
    if kind is None:
        named = f"the model of {args.config} is type={config.model.type!r}"
        raise ConfigError(f"{named}, {_why_not(model)}")
    if path is None:
        fill_with_random_weights(model)
    else:
        load_checked(model, path, config)
    return kind.part(model).eval().requires_grad_(False), config


def _why_not(model: nn.Module) -> str:
    kind = next((kind for kind in KINDS if kind.owns(model)), None)
    if kind is None:
        return (
            f"neither a detector of {DETECTION.title} nor a segmentor of "
            f"{SEGMENTATION.title}"
        )
    lacks = f"which has no {kind.needs} of its own"
    inner = [name for name, part in model.named_children() if kind.fits(part)]
    if not inner:
        return lacks
    prefixes = " or ".join(f"{name}." for name in inner)
    return (
        f"{lacks}, only in its {' and '.join(inner)}: give the config of one of them, "
        f"and its weights without the prefix {prefixes}"
    )


def input_words(config: Config) -> str:
    """Say what the graph expects, by the config's ``data_preprocessor``."""
    given = config.model.get("data_preprocessor") or {}
    words = ["RGB" if given.get("bgr_to_rgb") else "BGR"]
    if given.get("mean"):
        words.append(f"(value - {given['mean']}) / {given['std']} by channel")
    if (divisor := given.get("pad_size_divisor", 1)) > 1:
        words.append(f"padded to multiples of {divisor}")
    return ", ".join(words)
