#!/usr/bin/env python
"""Draw where non-local blocks look, from points of an image.

    tools/analysis/show_attention.py IMAGE CONFIG CHECKPOINT --at 120,80 --at 40,200
    tools/analysis/show_attention.py IMAGE CONFIG CHECKPOINT --at 120,80 \
        --block layer3.4.nonlocal_block --out attention.png

X,Y are pixels of the image. A row is a point, the red dot; beside the image is a map
for each block, all that run on the whole image unless --block names some. The
brighter a place, the more the block looks there; arrows lead to the 20 strongest, as in
figure 3 of Non-local Neural Networks. Without a checkpoint the weights are random.
"""

import argparse
from pathlib import Path

import torch
from arguments import (
    add_cfg_options,
    add_output,
    check_figure,
    make_parser,
    save_figure,
)
from attention_figure import draw
from model_on_images import load_model, read_image, run
from torch import nn

from nlse_mm.analysis import Look, Placement, look, non_local_blocks, watching
from nlse_mm.errors import ConfigError
from nlse_mm.training.user_error import in_one_sentence

REGIONS = "roi_head."  # below it, a block runs on regions


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("image", type=Path)
    add("config")
    add("checkpoint", nargs="?")
    add(
        "--at",
        type=point,
        action="append",
        required=True,
        metavar="X,Y",
        help="pixel of the image that is the query; again for more",
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


def point(text: str) -> tuple[int, int]:
    try:
        x, y = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a pixel X,Y such as 120,80"
        ) from None
    return x, y


@in_one_sentence
def main() -> None:
    args = parse_args()
    check_figure(args.output)
    image = read_image(args.image)
    for x, y in args.at:
        Placement(image.shape[:2], image.shape[:2]).cell((x, y), (1, 1))
    model = load_model(args)
    blocks = non_local_blocks(model, args.block)
    if not args.block:
        print("\n".join(["blocks:", *(f"  {name}" for name in blocks)]))
        on_regions = [name for name in blocks if name.startswith(REGIONS)]
        if on_regions:
            print(f"left out, as they see regions only: {', '.join(on_regions)}")
            blocks = {n: b for n, b in blocks.items() if n not in on_regions} or blocks
    if args.checkpoint is None:
        print("no checkpoint is given: the weights are random")
    looks = look_from(model, blocks, args.image, args.at)
    save_figure(draw(image, looks, args.at), args.output)
    print(args.output)


def look_from(
    model: nn.Module,
    blocks: dict[str, nn.Module],
    path: Path,
    points: list[tuple[int, int]],
) -> dict[str, list[Look]]:
    """Compute where each of ``blocks`` looks from each of ``points``."""
    inputs: dict[str, list[torch.Tensor]] = {name: [] for name in blocks}
    network = []
    if "mode" in (model.test_cfg or {}):
        model.test_cfg.mode = "whole"  # mmseg's alternative cuts the image up
    preprocessor = {"": model.data_preprocessor}
    with (
        watching(preprocessor, lambda *seen: network.append(seen[3]["inputs"].shape)),
        # A copy: what comes after may overwrite it.
        watching(blocks, lambda name, _, x, y: inputs[name].append(x.clone())),
    ):
        sample = run(model, path)
    placement = Placement.from_metainfo(sample.metainfo, tuple(network[0][-2:]))
    looks = {}
    for name, block in blocks.items():
        if name.startswith(REGIONS) or len(inputs[name]) != 1:
            raise ConfigError(
                f"the block {name} does not run once on the whole image, but "
                f"{len(inputs[name])} times, or on regions; --block chooses another"
            )
        looks[name] = look(name, block, inputs[name][0], points, placement)
    return looks


if __name__ == "__main__":
    main()
