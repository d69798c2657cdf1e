#!/usr/bin/env python
"""Draw the six positions of a bottleneck, and which block ``blocks=(-2,)`` chooses.

tools/analysis/draw_placement.py docs/images/placement.png
"""

import argparse
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

BRANCH, SHORTCUT = 2.6, 1.2  # heights of the two paths
PLACE = "#d9480f"
# The branch's boxes: middle, what is written in it.
CONVOLUTIONS = (
    (3.4, "conv1\n1 x 1"),
    (6.4, "conv2\n3 x 3"),
    (9.4, "conv3\n1 x 1"),
)
PLACES = {  # x, y; where the name goes, above or below
    "before_conv1": (2.1, BRANCH, 1),
    "after_conv1": (5.2, BRANCH, 1),
    "after_conv2": (8.2, BRANCH, 1),
    "after_conv3": (10.9, BRANCH, 1),
    "on_identity": (8.2, SHORTCUT, -1),
    "after_block": (14.0, BRANCH, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    block, stage = figure.subplots(2, 1, height_ratios=(3.6, 1.6))
    draw_block(block)
    draw_stage(stage)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output, dpi=110)
    print(args.output)


def draw_block(axis: Axes) -> None:
    """One bottleneck: the branch above, the shortcut below."""
    clear(axis, (0, 15.4), (0.2, 4.0))
    axis.set_title("a bottleneck and its six positions", loc="left", fontsize=10)
    arrow(axis, (0.4, BRANCH), (11.8, BRANCH))
    arrow(axis, (12.4, BRANCH), (15.2, BRANCH))
    axis.plot([1.2, 1.2, 12.1], [BRANCH, SHORTCUT, SHORTCUT], color="black", lw=1)
    arrow(axis, (12.1, SHORTCUT), (12.1, BRANCH - 0.32))
    axis.text(0.3, BRANCH + 0.15, "x", fontsize=10, style="italic")
    for middle, text in CONVOLUTIONS:
        box(axis, middle, BRANCH, text)
        relu = "" if text.startswith("conv3") else ", ReLU"
        axis.text(
            middle, BRANCH - 0.72, f"BN{relu}", ha="center", fontsize=8, color="gray"
        )
    box(axis, 5.2, SHORTCUT, "projection\n(where there is one)", width=3.0)
    axis.add_patch(Circle((12.1, BRANCH), 0.3, fc="white", ec="black", zorder=3))
    axis.text(12.1, BRANCH, "+", ha="center", va="center", fontsize=12, zorder=4)
    box(axis, 13.1, BRANCH, "ReLU", width=0.9)
    for name, (x, y, side) in PLACES.items():
        axis.add_patch(Circle((x, y), 0.2, fc=PLACE, ec="white", zorder=5))
        at = y + side * 0.62
        label(axis, x, at, name)


def draw_stage(axis: Axes) -> None:
    """The blocks of res4, and the non-local block of the paper's table 5."""
    clear(axis, (0, 15.4), (0.2, 2.2))
    axis.set_title(
        "res4 of ResNet-50 with position='after_block', blocks=(-2,): right before the "
        "last block",
        loc="left",
        fontsize=10,
    )
    arrow(axis, (0.4, 1.2), (15.2, 1.2))
    for index in range(6):
        middle = 1.6 + 2.2 * index + (1.2 if index == 5 else 0)
        box(axis, middle, 1.2, f"block {index}")
        axis.text(
            middle, 0.45, f"{index} or {index - 6}",
            ha="center", fontsize=8, color="gray",
        )  # fmt: skip
    axis.add_patch(Circle((12.1, 1.2), 0.2, fc=PLACE, ec="white", zorder=5))
    label(axis, 12.1, 1.93, "non-local")


def clear(axis: Axes, xlim: tuple[float, float], ylim: tuple[float, float]) -> None:
    axis.set(xlim=xlim, ylim=ylim, aspect="equal")
    axis.axis("off")


def box(axis: Axes, x: float, y: float, text: str, width: float = 1.6) -> None:
    shape = FancyBboxPatch(
        (x - width / 2, y - 0.4), width, 0.8,
        boxstyle="round,pad=0,rounding_size=0.12", fc="#e7f0fa", ec="black", zorder=3,
    )  # fmt: skip
    axis.add_patch(shape)
    axis.text(x, y, text, ha="center", va="center", fontsize=8, zorder=4)


def label(axis: Axes, x: float, y: float, text: str) -> None:
    axis.text(
        x, y, text, ha="center", va="center", fontsize=9, color=PLACE, weight="bold"
    )


def arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.annotate("", end, start, arrowprops=dict(arrowstyle="->", lw=1))


if __name__ == "__main__":
    main()
