"""Load the model of a config with its weights, and run it on images or videos."""

import argparse
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from clips import check_video, take_one_view
from images import VIDEOS, Image, read_image
from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from rich.console import Console
from rich.progress import track
from torch import nn

from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import SEGMENTATION, TOOLBOXES, VIDEO, Toolbox, find_toolbox
from nlse_mm.training.check_weights import load_checked
from nlse_mm.training.config import is_file_or_remote, load_config


def load_model(args: argparse.Namespace) -> nn.Module:
    """Load the model of ``args.config``, and ``args.checkpoint`` into it, if any.

    It is set up as the toolbox does it for inference, on a GPU where there is one. A
    recognizer gets one view of a video.

    Raises:
        ConfigError: For a config or a checkpoint that can't be used.
    """
    config, path = load_config(args), args.checkpoint
    if path is not None and not is_file_or_remote(path):
        raise ConfigError(f"the checkpoint {path} does not exist")
    toolbox = _toolbox_of(config)
    if toolbox is SEGMENTATION:
        _drop_labels(config)
    if toolbox is VIDEO:
        take_one_view(config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Warnings of classes and palettes, which aren't used, go nowhere.
    with warnings.catch_warnings(record=True):
        init = getattr(toolbox.module("apis"), toolbox.init)
        model = init(config, None, device=device)
    vars(model).setdefault("cfg", config)  # MMPretrain's has another name
    if path is not None:
        load_checked(model, path, config)
    return model


def _toolbox_of(config: Config) -> Toolbox:
    scope = config.get("default_scope")
    toolbox = find_toolbox(scope)
    if toolbox is None:
        known = ", ".join(repr(t.scope) for t in TOOLBOXES)
        raise ConfigError(
            f"{config.filename} has default_scope={scope!r}, which is none of {known}"
        )
    return toolbox


def _drop_labels(config: Config) -> None:
    """Take the loading of labels out of a segmentation's test pipeline, ours too.

    The toolbox's inference takes out only what is called ``LoadAnnotations``.
    """
    transforms = SEGMENTATION.module("registry").TRANSFORMS
    config.test_pipeline = [
        step
        for step in config.test_pipeline
        if not issubclass(transforms.get(step["type"]), LoadAnnotations)
    ]


def takes_clips(model: nn.Module) -> bool:
    """Return whether a loaded model runs on videos, not on images."""
    return _toolbox_of(model.cfg) is VIDEO


def run(model: nn.Module, path: Path) -> BaseDataElement:
    """Run ``model`` on an image, or a video; return the toolbox's data sample."""
    return _toolbox_of(model.cfg).run(model, str(path))


def check_kind(model: nn.Module, images: Iterable[Image]) -> None:
    """Raise ConfigError if a model of images is given videos, or the other way."""
    wants_videos = takes_clips(model)
    for image in images:
        if (image.path.suffix.lower() in VIDEOS) is not wants_videos:
            kind = "videos" if wants_videos else "images"
            raise ConfigError(f"{image.path} is none of the {kind} that it takes")


def readable(images: Iterable[Image]) -> Iterator[Image]:
    """Go through images, or videos, with a progress bar; refuse an unreadable one."""
    for image in track(images, "Images", console=Console(stderr=True)):
        if image.path.suffix.lower() in VIDEOS:
            check_video(image.path)
        else:
            read_image(image.path)
        yield image
