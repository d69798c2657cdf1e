#!/usr/bin/env python
"""Draw attention maps: the weights that pixels of an image give to all others.

    tools/analysis/show_attention.py IMAGE CONFIG CHECKPOINT --at 120,80 --at 40,200
    tools/analysis/show_attention.py IMAGE CONFIG CHECKPOINT --at 120,80 \
        --block layer3.4.nonlocal_block --out attention.png
    tools/analysis/show_attention.py VIDEO CONFIG CHECKPOINT --at 120,80,-1

X,Y are pixels of the image. A row is a point, the red dot; beside the image is a map
for each block, all that run on the whole image unless --block names some. A block is
any module with a method attention(x, positions), such as nlse_mm.NonLocal2d; of several
heads the mean is drawn. The brighter a place, the larger its weight; arrows lead to the
20 strongest, as in figure 3 of Non-local Neural Networks. Without a checkpoint the
weights are random.

Of a video, a point is X,Y,FRAME: pixels of the video, and a frame of the clip that the
network gets, from 0, or from the end: -1 is the last. Its frames stand side by side,
those of the block's map; arrows lead from frame to frame. Of the views that the test
pipeline takes it is the middle clip, and its centre crop.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from arguments import (
    add_cfg_options,
    add_output,
    check_figure,
    make_parser,
    save_figure,
)
from attention_figure import draw
from clip_figure import draw_clip
from clips import attention_of_clip, check_video
from images import VIDEOS, read_image
from mmengine.config import Config
from model_on_images import load_model, run, takes_clips
from torch import nn

from nlse_mm.analysis import (
    AttentionMap,
    ImageGeometry,
    attention_blocks,
    attention_maps,
    capture_outputs,
)
from nlse_mm.errors import ConfigError
from nlse_mm.training.user_error import in_one_sentence

REGIONS = "roi_head."  # below it, a block runs on regions


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("image", type=Path, help="an image, or a video")
    add("config")
    add("checkpoint", nargs="?")
    add(
        "--at",
        type=point,
        action="append",
        required=True,
        metavar="X,Y[,FRAME]",
        help="pixel of the image, or of the clip's frame, that is the query; again for "
        "more",
    )
    add(
        "--block",
        action="append",
        default=[],
        metavar="NAME",
        help="block to show, its path in the model or the path's end; again for more",
    )
    add_output(parser, default=Path("attention.png"))
    add_cfg_options(parser)
    return parser.parse_args()


def point(text: str) -> tuple[int, ...]:
    try:
        x, y, *frame = map(int, text.split(","))
        if len(frame) > 1:
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a pixel X,Y such as 120,80, nor X,Y,FRAME of a video"
        ) from None
    return x, y, *frame


@in_one_sentence
def main() -> None:
    args = parse_args()
    check_figure(args.output)
    is_video = args.image.suffix.lower() in VIDEOS
    check_points(args, is_video)
    if is_video:
        check_video(args.image)
    else:
        image = read_image(args.image)
        for x, y in args.at:
            ImageGeometry(image.shape[:2], image.shape[:2]).cell((x, y), (1, 1))
    model = load_model(args)
    if takes_clips(model) != is_video:
        kinds = ("an image", "clips") if takes_clips(model) else ("a video", "images")
        raise ConfigError(
            "{0} is {2}, and the model of {1} takes {3}".format(
                args.image, args.config, *kinds
            )
        )
    blocks = attention_blocks(model, args.block)
    if not args.block:
        print("\n".join(["blocks:", *(f"  {name}" for name in blocks)]))
        on_regions = [name for name in blocks if name.startswith(REGIONS)]
        if on_regions:
            print(f"left out, as they run on regions only: {', '.join(on_regions)}")
            blocks = {n: b for n, b in blocks.items() if n not in on_regions} or blocks
    if args.checkpoint is None:
        print("no checkpoint is given: the weights are random")
    if is_video:
        clip, of_clip = attention_of_clip(
            model, blocks, lambda: run(model, args.image), args.at
        )
        numbers = " ".join(map(str, clip.numbers))
        print(f"frames of the clip, as numbers in the video: {numbers}")
        figure = draw_clip(clip, of_clip, args.at)
    else:
        maps = maps_of_image(model, blocks, args.image, args.at)
        figure = draw(image, maps, args.at)
    save_figure(figure, args.output)
    print(args.output)


def check_points(args: argparse.Namespace, is_video: bool) -> None:
    """Raise ConfigError unless each point has as many numbers as it needs."""
    for at in args.at:
        said = ",".join(map(str, at))
        if is_video and len(at) == 2:
            raise ConfigError(
                f"--at {said} names no frame: {args.image} is a video, whose points "
                "are X,Y,FRAME"
            )
        if not is_video and len(at) == 3:
            raise ConfigError(
                f"--at {said} names a frame, and {args.image} is an image, none of "
                f"{', '.join(sorted(VIDEOS))}"
            )


def check_not_cropped(config: Config) -> None:
    """Raise ConfigError if a test crops images: only of clips the crop is known."""
    dataset = (config.get("test_dataloader") or {}).get("dataset") or {}
    for step in dataset.get("pipeline") or ():
        if "Crop" in str(step.get("type")):
            raise ConfigError(
                f"{config.filename} tests with {step['type']}, whose place in the "
                "image isn't recorded: take it out of test_dataloader.dataset.pipeline"
            )


def maps_of_image(
    model: nn.Module,
    blocks: dict[str, nn.Module],
    path: Path,
    points: list[tuple[int, int]],
) -> dict[str, list[AttentionMap]]:
    """Compute the attention map of each of ``points`` in each of ``blocks``."""
    calls: dict[str, list[tuple[torch.Tensor, torch.Size]]] = {n: [] for n in blocks}
    network = []
    check_not_cropped(model.cfg)
    if "mode" in (getattr(model, "test_cfg", None) or {}):
        model.test_cfg.mode = "whole"  # the alternative cuts the image up

    def receive_data(*call: Any) -> None:
        network.append(call[3]["inputs"].shape)

    def receive(name: str, _: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        # A copy: what comes after may overwrite it.
        calls[name].append((x.clone(), y.shape))

    data = capture_outputs({"": model.data_preprocessor}, receive_data)
    with data, capture_outputs(blocks, receive):
        sample = run(model, path)
    geometry = ImageGeometry.from_metainfo(sample.metainfo, tuple(network[0][-2:]))
    maps = {}
    for name, block in blocks.items():
        on_regions = name.startswith(REGIONS)
        if on_regions or len(calls[name]) != 1 or calls[name][0][0].ndim != 4:
            raise ConfigError(
                f"the block {name} does not run once on the whole image, but "
                f"{len(calls[name])} times, or on regions; --block chooses another"
            )
        ((x, shape),) = calls[name]
        maps[name] = attention_maps(name, block, x, shape[2:], points, geometry)
    return maps


if __name__ == "__main__":
    main()
