"""The figure of where blocks look: the picture, the map over it, and arrows."""

import numpy as np
from matplotlib.figure import Figure

from nlse_mm.analysis import Look

_ARROWS = 20  # as figure 3 of the Non-local paper


def draw(
    picture: np.ndarray,
    looks: dict[str, list[Look]],
    points: list[tuple[int, int]],
) -> Figure:
    """A row for each point, a column for each block.

    Args:
        picture: (H, W, 3), RGB.
        looks: By block, one for each of ``points``.
        points: Pixels of the picture, (x, y).
    """
    width = 4.2
    height = width * picture.shape[0] / picture.shape[1] + 0.45
    figure = Figure((width * len(looks), height * len(points)), layout="constrained")
    axes = figure.subplots(len(points), len(looks), squeeze=False)
    for column, (name, of_points) in zip(axes.T, looks.items(), strict=True):
        for axis, one in zip(column, of_points, strict=True):
            _draw_look(axis, picture, one)
        short = name.removeprefix("backbone.").removesuffix(".nonlocal_block")
        column[0].set_title(f"{short}\n{column[0].get_title()}", fontsize=8)
    for axis, (x, y) in zip(axes[:, 0], points, strict=True):
        axis.set_ylabel(f"from {x},{y}", fontsize=8)
    return figure


def _draw_look(axis, picture: np.ndarray, look: Look) -> None:
    height, width = picture.shape[:2]
    grey = picture.mean(axis=2)
    axis.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    weights = look.weights.numpy()
    signed = weights.min() < 0
    top = np.abs(weights).max() or 1
    (left, above), (right, below) = look.corner, look.opposite
    axis.imshow(
        weights,
        cmap="RdBu_r" if signed else "inferno",
        vmin=-top if signed else 0,
        vmax=top,
        alpha=0.6,
        extent=(left, right, below, above),
        interpolation="nearest",
    )
    x, y = look.point[0] + 0.5, look.point[1] + 0.5
    for to_x, to_y, weight in look.strongest(_ARROWS):
        if weight > 0:
            axis.annotate(
                "",
                (to_x, to_y),
                (x, y),
                arrowprops=dict(
                    arrowstyle="-|>",
                    color="cyan",
                    alpha=0.25 + 0.75 * weight / top,
                    linewidth=0.8,
                    mutation_scale=7,
                    shrinkA=0,
                    shrinkB=0,
                ),
            )
    axis.plot(x, y, "o", color="red", markeredgecolor="white", markersize=7)
    axis.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    share = np.abs(weights) / (np.abs(weights).sum() or 1)
    axis.set_title(
        f"strongest {share.max():.2%}, {share.max() * share.size:.1f} x uniform",
        fontsize=8,
    )
