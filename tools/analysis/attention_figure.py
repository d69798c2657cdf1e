"""The figure of attention maps: the image, the maps over it, and arrows."""

import numpy as np
from matplotlib.figure import Figure

from nlse_mm.analysis import AttentionMap

_ARROWS = 20  # as figure 3 of the Non-local paper


def draw(
    image: np.ndarray,
    maps: dict[str, list[AttentionMap]],
    points: list[tuple[int, int]],
) -> Figure:
    """Draw a row for each point; the image, then a column for each block.

    Args:
        image: (H, W, 3), RGB.
        maps: By block, one for each of ``points``.
        points: Pixels of the image, (x, y).
    """
    columns = 1 + len(maps)
    panel = min(4.2, 4.2 * image.shape[1] / image.shape[0])  # inches
    height = panel * image.shape[0] / image.shape[1] + 0.4
    size = ((panel + 0.6) * columns, height * len(points))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(points), columns, squeeze=False)
    for number, (row, point) in enumerate(zip(axes, points, strict=True)):
        _draw_image(row[0], image, point)
        row[0].set_title("from {},{}".format(*point), fontsize=8)
        for axis, (name, of_points) in zip(row[1:], maps.items(), strict=True):
            _draw_map(axis, image, of_points[number], name)
    return figure


def _draw_image(axis, image: np.ndarray, point: tuple[int, int]) -> None:
    height, width = image.shape[:2]
    grey = dict(cmap="gray", vmin=0, vmax=255)
    axis.imshow(image, **grey, extent=(0, width, height, 0), zorder=0)
    dot = dict(color="red", markeredgecolor="white", markersize=7)
    axis.plot(point[0] + 0.5, point[1] + 0.5, "o", **dot, zorder=10)
    axis.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")


def _draw_map(axis, image: np.ndarray, attention: AttentionMap, name: str) -> None:
    weights = attention.weights.numpy()
    strength = np.abs(weights)
    top, uniform = strength.max() or 1, strength.mean()
    colors = dict(cmap="inferno", vmin=0, vmax=top)
    if weights.min() < 0:
        colors.update(cmap="RdBu_r", vmin=-top)
    (left, above), (right, below) = attention.corner, attention.opposite
    extent = dict(extent=(left, right, below, above), interpolation="nearest")
    heat = axis.imshow(weights, **colors, **extent, alpha=0.6, zorder=1)
    axis.figure.colorbar(heat, ax=axis, shrink=0.8).ax.tick_params(labelsize=6)
    _draw_image(axis, image.mean(axis=2), attention.point)
    start = (attention.point[0] + 0.5, attention.point[1] + 0.5)
    style = dict(arrowstyle="-|>", color="cyan", linewidth=0.7, mutation_scale=6)
    for to_x, to_y, weight in attention.strongest(_ARROWS):
        # What is no more than uniform shows nothing.
        beyond = 1 - uniform / weight if weight > 0 else 0
        if beyond > 0:
            arrow = dict(style, alpha=beyond, shrinkA=0, shrinkB=0)
            axis.annotate("", (to_x, to_y), start, arrowprops=arrow, zorder=5)
    short = name.removeprefix("backbone.").removesuffix(".nonlocal_block")
    times = strength.max() / (uniform or 1)
    title = f"{short}: strongest {times / weights.size:.2%}, {times:.1f} x uniform"
    axis.set_title(title, fontsize=8)
