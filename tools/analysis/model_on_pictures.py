"""What the tools that look into a model share: its arguments, the model, a picture."""

import argparse
import warnings
from pathlib import Path
from typing import Any

import mmcv
import torch
from mmengine.config import Config, DictAction
from mmengine.runner.checkpoint import CheckpointLoader, load_state_dict
from torch import nn

from nlse_mm.engine.check_weights import checked_weights, refuses_other_weights
from nlse_mm.engine.config import is_file_or_remote, load_config
from nlse_mm.engine.user_error import UserError

DETECTION = "mmdet"


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options``, and what ``load_config`` asks for beyond it."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        metavar="KEY=VALUE",
        help="replace settings of the config",
    )
    parser.set_defaults(launcher="none", work_dir=None, local_rank=0)


def load_model(args: argparse.Namespace) -> nn.Module:
    """The model of ``args.config`` with the weights of ``args.checkpoint``, if any.

    It is set up as the toolbox does it for inference, on a GPU where there is one.

    Raises:
        UserError: For a config or a checkpoint that can't be used.
    """
    config = load_config(args)
    path = args.checkpoint
    if path is not None and not is_file_or_remote(path):
        raise UserError(f"the checkpoint {path} does not exist")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Warnings of classes and palettes, which aren't used, go nowhere.
    with warnings.catch_warnings(record=True):
        if config.get("default_scope") == DETECTION:
            from mmdet.apis import init_detector

            model = init_detector(config, None, device=device)
        elif config.get("default_scope") == "mmseg":
            from mmseg.apis import init_model

            _drop_labels(config)
            model = init_model(config, None, device=device)
        else:
            raise UserError(
                f"{args.config} has default_scope={config.get('default_scope')!r}, "
                "which is neither 'mmdet' nor 'mmseg'"
            )
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


def read_picture(path: Path) -> Any:
    """The picture (H, W, 3) in RGB.

    Raises:
        UserError: If it can't be read.
    """
    if not path.is_file():
        raise UserError(f"the picture {path} does not exist")
    try:
        picture = mmcv.imread(path, channel_order="rgb")
    except Exception as error:  # OpenCV's own, for what it can't decode
        raise UserError(f"the picture {path} can't be read") from error
    if picture is None:
        raise UserError(f"the picture {path} can't be read")
    return picture


def run(model: nn.Module, path: Path) -> Any:
    """Run ``model`` on a picture; the data sample that the toolbox returns."""
    if model.cfg.default_scope == DETECTION:
        from mmdet.apis import inference_detector as inference
    else:
        from mmseg.apis import inference_model as inference
    return inference(model, str(path))
