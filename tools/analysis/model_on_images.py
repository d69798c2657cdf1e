"""Load the model of a config with its weights, and run it on images."""

import argparse
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import mmcv
import torch
from images import Image
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from rich.console import Console
from rich.progress import track
from torch import nn

from nlse_mm.errors import ConfigError
from nlse_mm.training.check_weights import checked_weights, refuses_other_weights
from nlse_mm.training.config import is_file_or_remote, load_config

DETECTION = "mmdet"


def load_model(args: argparse.Namespace) -> nn.Module:
    """Load the model of ``args.config``, and ``args.checkpoint`` into it, if any.

    It is set up as the toolbox does it for inference, on a GPU where there is one.

    Raises:
        ConfigError: For a config or a checkpoint that can't be used.
    """
    config = load_config(args)
    path, scope = args.checkpoint, config.get("default_scope")
    if path is not None and not is_file_or_remote(path):
        raise ConfigError(f"the checkpoint {path} does not exist")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Warnings of classes and palettes, which aren't used, go nowhere.
    with warnings.catch_warnings(record=True):
        if scope == DETECTION:
            from mmdet.apis import init_detector as init
        elif scope == "mmseg":
            from mmseg.apis import init_model as init

            _drop_labels(config)
        else:
            raise ConfigError(
                f"{args.config} has default_scope={scope!r}, "
                "which is neither 'mmdet' nor 'mmseg'"
            )
        model = init(config, None, device=device)
    if path is not None:
        weights = CheckpointLoader.load_checkpoint(path, map_location="cpu")
        refuse = refuses_other_weights(config)
        weights = checked_weights(model, weights, path, refuse=refuse, testing=True)
        load_state_dict(model, weights)
    return model


def _drop_labels(config: Config) -> None:
    """Take the loading of labels out of mmseg's pipeline, ours too.

    ``inference_model`` takes out only what is called ``LoadAnnotations``.
    """
    from mmcv.transforms import LoadAnnotations
    from mmseg.registry import TRANSFORMS

    config.test_pipeline = [
        step
        for step in config.test_pipeline
        if not issubclass(TRANSFORMS.get(step["type"]), LoadAnnotations)
    ]


def read_image(path: Path) -> Any:
    """Read an image (H, W, 3) in RGB.

    Raises:
        ConfigError: If it can't be read.
    """
    if not path.is_file():
        raise ConfigError(f"the image {path} does not exist")
    try:
        image = mmcv.imread(path, channel_order="rgb")
    except Exception as error:  # OpenCV's own, for what it can't decode
        raise ConfigError(f"the image {path} can't be read") from error
    if image is None:
        raise ConfigError(f"the image {path} can't be read")
    return image


def run(model: nn.Module, path: Path) -> Any:
    """Run ``model`` on an image; return the data sample of the toolbox."""
    if model.cfg.default_scope == DETECTION:
        from mmdet.apis import inference_detector as inference
    else:
        from mmseg.apis import inference_model as inference
    return inference(model, str(path))


def readable(images: Iterable[Image]) -> Iterator[Image]:
    """Go through images with a progress bar; refuse one that can't be read."""
    for image in track(images, "Images", console=Console(stderr=True)):
        read_image(image.path)
        yield image
