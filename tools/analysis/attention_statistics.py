#!/usr/bin/env python
"""Measure how much the attention of a model's blocks depends on the query.

    tools/analysis/attention_statistics.py CONFIG CHECKPOINT data/coco/val2017
    tools/analysis/attention_statistics.py CONFIG CHECKPOINT DATA --number 100
    tools/analysis/attention_statistics.py CONFIG CHECKPOINT FOLDER-OF-VIDEOS

Prints a table, a row for each block (any module with a method attention(x, positions),
such as nlse_mm.NonLocal2d): means over the images and heads of

input, output, rows   the cosine distance, (1 - cos) / 2, between the block's inputs at
                      two queries, between what it adds there, and between its rows of
                      weights, as table 1 of GCNet: 0 if the query plays no role
entropy               of a row, over a uniform row's: 1 if all weights are the same
distance, uniform     from the query to the keys by their weight, in pixels of the
                      network's input, and what it would be for a uniform row

and of clips, whose distances are within a frame, wherever the key's frame is:

frames, uniform frames   from the query to the keys by their weight, in frames of the
                         network's input, and what it would be for a uniform row

with the standard deviation over images where it says +-.
"""

from collections.abc import Sequence

from arguments import add_cfg_options, make_parser
from images import add_data, find_images
from model_on_images import check_kind, load_model, readable, run, takes_clips

from nlse_mm.analysis import AttentionMeter, RunningMoments
from nlse_mm.analysis.statistics import FIELDS, FRAME_FIELDS
from nlse_mm.training.user_error import in_one_sentence


@in_one_sentence
def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    add_data(parser)
    parser.add_argument("--queries", type=int, default=64, help="per image (64)")
    add_cfg_options(parser)
    args = parser.parse_args()
    images = find_images(args)
    model = load_model(args)
    check_kind(model, images)
    meter = AttentionMeter(model, args.queries)
    with meter.measuring():
        for image in readable(images):
            run(model, image.path)
    is_video = takes_clips(model)
    kind = "videos" if is_video else "images"
    fields = (*FIELDS, *FRAME_FIELDS) if is_video else FIELDS
    print(f"{len(images)} {kind}, {args.queries} queries in each")
    print(f"| block | {' | '.join(fields)} |")
    print("|:--|" + "--:|" * len(fields))
    for name, moments in meter.moments.items():
        written = cells(moments, FIELDS)
        if is_video:
            written += cells(meter.frames[name], FRAME_FIELDS)
        print(f"| {name} | {' | '.join(written)} |")


def cells(moments: RunningMoments, fields: Sequence[str]) -> list[str]:
    """Write the columns as text: pixels whole, frames in tenths, the rest in full."""
    digits = dict(distance=0, uniform=0) | dict.fromkeys(FRAME_FIELDS, 1)
    texts = []
    each = zip(fields, moments.mean.tolist(), moments.std.tolist(), strict=True)
    for field, m, s in each:
        places = digits.get(field, 4)
        spread = f" +- {s:.{places}f}" if s == s else ""
        texts.append(f"{m:.{places}f}{spread}" if m == m else "-")
    return texts


if __name__ == "__main__":
    main()
