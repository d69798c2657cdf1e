"""Build what is exported of a config's model: a detector's maps, a segmentor's logits.

Shapes: N batch, C channels, K classes, H height, W width.
"""

import logging
import warnings
from argparse import Namespace
from collections.abc import Callable

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


KINDS: tuple[tuple[Toolbox, str, Callable[[nn.Module], nn.Module]], ...] = (
    (DETECTION, "BaseDetector", Features),
    (SEGMENTATION, "BaseSegmentor", Logits),
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
    scope = config.get("default_scope")
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(ConfigDict(config.model))
    model = revert_sync_batchnorm(model)
    part = next((wrap for *of, wrap in KINDS if _is_a(model, scope, *of)), None)
    if part is None:
        raise ConfigError(
            f"the model of {args.config} is type={config.model.type!r}, neither a "
            f"detector of {DETECTION.title} nor a segmentor of {SEGMENTATION.title}"
        )
    if path is None:
        fill_with_random_weights(model)
    else:
        load_checked(model, path, config)
    return part(model).eval().requires_grad_(False), config


def _is_a(model: nn.Module, scope: str | None, toolbox: Toolbox, base: str) -> bool:
    if scope != toolbox.scope:
        return False
    return isinstance(model, getattr(toolbox.module("models"), base))


def input_words(config: Config) -> str:
    """Say what the graph expects, by the config's ``data_preprocessor``."""
    given = config.model.get("data_preprocessor") or {}
    words = ["RGB" if given.get("bgr_to_rgb") else "BGR"]
    if given.get("mean"):
        words.append(f"(value - {given['mean']}) / {given['std']} by channel")
    if (divisor := given.get("pad_size_divisor", 1)) > 1:
        words.append(f"padded to multiples of {divisor}")
    return ", ".join(words)
