#!/usr/bin/env python
"""Draw the offsets from the query that each head of self-attention prefers.

    tools/analysis/show_heads.py configs/tiny/fcn_sa6.py
    tools/analysis/show_heads.py CONFIG work_dirs/fcn_sa6/iter_*.pth --output heads.png

A column is a layer, a row a state of the training: the start, with the config's seed
or 0, and then each checkpoint. The grid's cells are positions of the layer's map, the
one in the middle is the query's. A dot is a head's mean offset, an ellipse one standard
deviation around it, as in the paper's figures (arXiv 1911.03584).
"""

import math
from pathlib import Path

import torch
from arguments import add_cfg_options, add_output, make_parser, save_figure
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from rich.progress import track

from nlse_mm.analysis import Heads, measure_heads
from nlse_mm.errors import ConfigError
from nlse_mm.training.config import load_config
from nlse_mm.training.user_error import in_one_sentence


@in_one_sentence
def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("config")
    parser.add_argument("checkpoints", nargs="*", help="drawn in this order")
    parser.add_argument(
        "--reach", type=int, default=8, help="offsets drawn, each way (8)"
    )
    add_output(parser, default=Path("heads.png"))
    add_cfg_options(parser)
    args = parser.parse_args()
    config = load_config(args)
    init_default_scope(config.get("default_scope", "mmengine"))
    torch.manual_seed(config.get("randomness", {}).get("seed", 0))
    model = MODELS.build(config.model)
    model.init_weights()
    states = {"at the start": measure_heads(model, args.reach)}
    for path in track(args.checkpoints, "Checkpoints"):
        if not Path(path).is_file():
            raise ConfigError(f"the checkpoint {path} does not exist")
        load_checkpoint(model, path, map_location="cpu")
        states[Path(path).stem] = measure_heads(model, args.reach)
    save_figure(draw(states, args.reach), args.output, dpi=90)
    for state, layers in states.items():
        counts = ", ".join(f"{h.distinct()} of {len(h.mean)}" for h in layers)
        print(f"{state}: heads at distinct positions, by layer: {counts}")
    print(args.output)


def draw(states: dict[str, list[Heads]], reach: int) -> Figure:
    """Draw a row for each state and a column for each layer."""
    columns = max(len(layers) for layers in states.values())
    figure = Figure(figsize=(2.2 * columns, 2.4 * len(states)), layout="constrained")
    axes = figure.subplots(len(states), columns, squeeze=False)
    for row, (state, layers) in zip(axes, states.items(), strict=True):
        for axis, heads in zip(row, layers, strict=False):
            draw_layer(axis, heads, reach)
            axis.set_title(heads.name.replace("backbone.", ""), fontsize=7)
        row[0].set_ylabel(state, fontsize=9)
    return figure


def draw_layer(axis, heads: Heads, reach: int) -> None:
    edges = [i - 0.5 for i in range(-reach, reach + 2)]
    axis.set(xlim=(edges[0], edges[-1]), ylim=(edges[-1], edges[0]), aspect="equal")
    axis.set_xticks(edges, labels=[])
    axis.set_yticks(edges, labels=[])
    axis.tick_params(length=0)
    axis.grid(linewidth=0.3)
    query = dict(facecolor="none", edgecolor="black", linewidth=1)
    axis.add_patch(Ellipse((0, 0), 0.9, 0.9, **query))
    pairs = zip(heads.mean, heads.covariance, strict=True)
    for number, (mean, covariance) in enumerate(pairs):
        color = f"C{number % 10}"
        variances, directions = torch.linalg.eigh(covariance)
        down, right = directions[:, 1].tolist()
        width, height = (2 * variances.clamp(min=0).sqrt().flip(0)).tolist()
        place = mean[1].item(), mean[0].item()
        angle = math.degrees(math.atan2(down, right))
        shape = Ellipse(place, width, height, angle=angle)
        shape.set(color=color, alpha=0.25, linewidth=0)
        axis.add_patch(shape)
        axis.plot(*place, "o", color=color, markersize=3)


if __name__ == "__main__":
    main()
