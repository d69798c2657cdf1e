"""Run a recognizer on the clip that its test pipeline takes from a video.

Shapes: N batch, C channels, T frames, H height, W width.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from torch import nn

from nlse_mm.analysis import (
    ClipAttention,
    ImageGeometry,
    capture_outputs,
    check_frames,
    clip_attention,
)
from nlse_mm.errors import ConfigError

# What the geometry of a clip is read from, and how it and its frames are named.
_SHAPES = ("original_shape", "crop_quadruple", "flip", "flip_direction")
_KEPT = ("filename", "frame_inds", *_SHAPES)
_DEFAULT = ("img_shape", "img_key", "video_id", "timestamp")  # MMAction2's own


@dataclass(frozen=True)
class Clip:
    """The frames that the network gets, as its pipeline makes them.

    Args:
        frames: (T, H, W, 3), RGB.
        numbers: T numbers, of the frames in the video.
        geometry: Of each frame, on the video's.
    """

    frames: np.ndarray
    numbers: list[int]
    geometry: ImageGeometry


def check_video(path: Path) -> None:
    """Raise ConfigError unless a video exists and has a frame that can be read."""
    if not path.is_file():
        raise ConfigError(f"the video {path} does not exist")
    video = cv2.VideoCapture(str(path))
    found, _ = video.read()
    video.release()
    if not found:
        raise ConfigError(f"the video {path} can't be read: no frame is found in it")


def take_one_view(config: Config) -> None:
    """Make the test pipeline take one clip, the middle one, and of it the centre crop.

    Tests average over several of both, such as 10 clips of 3 crops each.

    Raises:
        ConfigError: If the config has no test pipeline.
    """
    dataset = (config.get("test_dataloader") or {}).get("dataset") or {}
    pipeline = dataset.get("pipeline") or config.get("test_pipeline")
    if not pipeline:
        raise ConfigError(f"the config {config.filename} has no test_dataloader")
    config.test_pipeline = [_one_view(copy.deepcopy(step)) for step in pipeline]
    keep_meta(config.test_pipeline)


def _one_view(step: dict[str, Any]) -> dict[str, Any]:
    kind = step["type"].rpartition(".")[2]
    if kind in ("ThreeCrop", "TenCrop"):
        return dict(type="CenterCrop", crop_size=step["crop_size"])
    if step.get("clip_len", 1) > 1:  # else its clips are the frames
        step.update(num_clips=1)
        step.pop("twice_sample", None)
    if kind == "DenseSampleFrames":
        step.update(num_sample_positions=1)
    return step


def keep_meta(part: Any) -> None:
    """Make the pipelines in a part of a config hand on what they know, in place."""
    children = part if isinstance(part, (list, tuple)) else ()
    if isinstance(part, dict):
        children = part.values()
        if str(part.get("type")).rpartition(".")[2] == "PackActionInputs":
            part["meta_keys"] = (*part.get("meta_keys", _DEFAULT), *_KEPT)
    for child in children:
        keep_meta(child)


def frames_of(inputs: torch.Tensor) -> np.ndarray:
    """Return the frames (F, H, W, C) of what a pipeline makes, those of all views.

    Args:
        inputs: (N, C, T, H, W), views of a video; or (N, C, H, W), frames.
    """
    if inputs.ndim == 4:
        inputs = inputs[:, :, None]  # (N, C, 1, H, W)
    return inputs.permute(0, 2, 3, 4, 1).flatten(0, 1).numpy()


def attention_of_clip(
    model: nn.Module,
    blocks: dict[str, nn.Module],
    run: Any,
    points: Sequence[tuple[int, int, int]],
) -> tuple[Clip, dict[str, list[ClipAttention]]]:
    """Compute the attention of each of ``points`` in each of ``blocks``.

    Args:
        model: A recognizer, whose pipeline takes one view.
        blocks: Some of its modules that have ``attention(x, positions)``, by path.
        run: Runs the model on the video and returns its data sample.
        points: (x, y, frame) of the video's pixels, and of the clip's frames.

    Raises:
        ConfigError: If a point is outside, or a block doesn't run on the clip.
    """
    calls: dict[str, list[torch.Tensor]] = {name: [] for name in blocks}
    inputs: list[torch.Tensor] = []

    def receive_data(_: str, __: nn.Module, data: Any, ___: Any) -> None:
        inputs.append(data["inputs"][0])

    def receive(name: str, _: nn.Module, x: torch.Tensor, __: Any) -> None:
        calls[name].append(x.clone())  # a copy: what comes after may overwrite it

    data = capture_outputs({"": model.data_preprocessor}, receive_data)
    with data, capture_outputs(blocks, receive):
        sample: BaseDataElement = run()
    (views,) = inputs
    for name in blocks:
        if len(calls[name]) != 1 or calls[name][0].ndim != 5:
            raise ConfigError(
                f"the block {name} does not run once on the whole clip, as "
                "nlse_mm.NonLocal3d does, but on its frames or more often"
            )
    frames = frames_of(views[:1])  # (T, H, W, C)
    check_frames(points, len(frames))
    geometry = ImageGeometry.of_frames(sample.metainfo, frames.shape[1:3])
    clip = Clip(frames, [int(n) for n in sample.metainfo["frame_inds"]], geometry)
    return clip, {
        name: clip_attention(name, block, calls[name][0], points, geometry, len(frames))
        for name, block in blocks.items()
    }
