"""The figure of attention maps: the image, the maps over it, and arrows."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from nlse_mm.analysis import AttentionMap

ARROWS = 20  # as figure 3 of the Non-local paper


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
        draw_image(row[0], image, point)
        row[0].set_title("from {},{}".format(*point), fontsize=8)
        for axis, (name, of_points) in zip(row[1:], maps.items(), strict=True):
            _draw_map(axis, image, of_points[number], name)
    return figure


def draw_image(
    axis: Axes,
    image: np.ndarray,
    point: tuple[int, int] | None,
    corners: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> None:
    """Draw an image (H, W) or (H, W, 3) below the rest, and a point in it.

    Args:
        axis: Where.
        image: Numbers from 0 to 255.
        point: A pixel, (x, y), if there is one.
        corners: Where the image begins and ends on the axis, (x, y); 0 and its size
            when None.
    """
    (left, above), (right, below) = corners or ((0, 0), image.shape[1::-1])
    grey = dict(cmap="gray", vmin=0, vmax=255)
    axis.imshow(image, **grey, extent=(left, right, below, above), zorder=0)
    if point is not None:
        dot = dict(color="red", markeredgecolor="white", markersize=7)
        axis.plot(point[0] + 0.5, point[1] + 0.5, "o", **dot, zorder=10)
    x, y = sorted((left, right)), sorted((above, below), reverse=True)
    axis.set(xlim=x, ylim=y, xticks=[], yticks=[], aspect="equal")


def limits(weights: np.ndarray) -> dict[str, Any]:
    """Return the colours of weights: up to the largest, two ways if some are < 0."""
    top = np.nanmax(np.abs(weights)) or 1
    if np.nanmin(weights) < 0:
        return dict(cmap="RdBu_r", vmin=-top, vmax=top)
    return dict(cmap="inferno", vmin=0, vmax=top)


def draw_weights(
    axis: Axes, attention: AttentionMap, colors: dict[str, Any]
) -> AxesImage:
    """Draw the weights of a map where they are on the image."""
    (left, above), (right, below) = attention.corner, attention.opposite
    extent = dict(extent=(left, right, below, above), interpolation="nearest")
    weights = attention.weights.numpy()
    return axis.imshow(weights, **colors, **extent, alpha=0.6, zorder=1)


def title(name: str, weights: np.ndarray) -> str:
    """Return what the figure says of a block: how much its strongest weight is."""
    short = name.removeprefix("backbone.")
    for child in (".nonlocal_block", ".non_local_block"):
        short = short.removesuffix(child)
    strength = np.abs(weights)
    keys = int((~np.isnan(weights)).sum())
    times = np.nanmax(strength) / (np.nanmean(strength) or 1)
    return f"{short}: strongest {times / keys:.2%}, {times:.1f} x uniform"


def arrow(weight: float, uniform: float) -> dict[str, Any]:
    """Return the style of an arrow; none to a weight that is no more than uniform.

    The fainter, the less the weight stands out.
    """
    beyond = 1 - uniform / weight if weight > 0 else 0
    if beyond <= 0:
        return {}
    style = dict(arrowstyle="-|>", color="cyan", linewidth=0.7, mutation_scale=6)
    return dict(style, alpha=beyond, shrinkA=0, shrinkB=0)


def _draw_map(
    axis: Axes, image: np.ndarray, attention: AttentionMap, name: str
) -> None:
    weights = attention.weights.numpy()
    heat = draw_weights(axis, attention, limits(weights))
    axis.figure.colorbar(heat, ax=axis, shrink=0.8).ax.tick_params(labelsize=6)
    draw_image(axis, image.mean(axis=2), attention.point)
    start = (attention.point[0] + 0.5, attention.point[1] + 0.5)
    uniform = np.abs(weights).mean()
    for x, y, weight in attention.strongest(ARROWS):
        if style := arrow(weight, uniform):
            axis.annotate("", (x, y), start, arrowprops=style, zorder=5)
    axis.set_title(title(name, weights), fontsize=8)
