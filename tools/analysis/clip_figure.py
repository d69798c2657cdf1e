"""The figure of a clip's attention: its frames side by side, and arrows between them.

As figure 3 of the Non-local paper, with the map over each frame.
"""

from typing import Any

import numpy as np
from attention_figure import ARROWS, arrow, draw_image, draw_weights, limits, title
from clips import Clip
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from nlse_mm.analysis import ClipAttention

_COLUMNS = 8  # frames in a row of panels


def draw_clip(
    clip: Clip,
    maps: dict[str, list[ClipAttention]],
    points: list[tuple[int, int, int]],
) -> Figure:
    """Draw for each point, and each block, the frames of the block's map.

    Args:
        clip: As the network gets it.
        maps: By block, one for each of ``points``.
        points: (x, y, frame) of the video's pixels, and of the clip's frames.
    """
    groups = [(at, maps[name][i]) for i, at in enumerate(points) for name in maps]
    columns = min(_COLUMNS, max(len(found.frames) for _, found in groups))
    rows = [-(-len(found.frames) // columns) for _, found in groups]
    height, width = clip.frames.shape[1:3]
    panel = 1.7 * min(1, width / height)  # inches
    size = (panel * columns + 0.8, (panel * height / width + 0.45) * sum(rows))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(sum(rows), columns, squeeze=False)
    for (point, found), number in zip(groups, rows, strict=True):
        group, axes = axes[:number].ravel(), axes[number:]
        _draw_group(group, clip, found, point)
    return figure


def _draw_group(
    axes: np.ndarray, clip: Clip, found: ClipAttention, point: tuple[int, int, int]
) -> None:
    """Draw the frames of one map, and arrows from the query's to the strongest."""
    for axis in axes[len(found.frames) :]:
        axis.set_axis_off()
    axes = axes[: len(found.frames)]
    colors = limits(found.weights.numpy())
    for number, (axis, frame) in enumerate(zip(axes, found.frames, strict=True)):
        shown = number * len(clip.frames) // len(axes)
        if number == found.at:
            shown = point[2] % len(clip.frames)
        axis.set_title(f"frame {shown}", fontsize=8)
        heat = draw_weights(axis, frame, colors)
        dot = point[:2] if number == found.at else None
        _draw_frame(axis, clip, shown, dot)
    axes[0].figure.colorbar(heat, ax=list(axes), shrink=0.8, pad=0.01).ax.tick_params(
        labelsize=6
    )
    # Above the titles of the frames, over all of them.
    said = f"{title(found.block, found.weights.numpy())}, from "
    said += "{},{} of frame {}".format(*point[:2], point[2] % len(clip.frames))
    axes[0].set_title(f"{said}\n{axes[0].get_title()}", fontsize=8, loc="left")
    axes[0].set_title("", loc="center")
    _draw_arrows(axes, found, point)


def _draw_frame(
    axis: Axes, clip: Clip, number: int, point: tuple[int, int] | None
) -> None:
    """Draw a frame where it is on the video's, in grey but for the query's own."""
    image = clip.frames[number]
    height, width = image.shape[:2]
    corners = clip.geometry.to_image(0, 0), clip.geometry.to_image(width, height)
    draw_image(axis, image.mean(axis=2), point, corners)


def _draw_arrows(
    axes: np.ndarray, found: ClipAttention, point: tuple[int, int, int]
) -> None:
    start: dict[str, Any] = dict(
        xyA=(point[0] + 0.5, point[1] + 0.5), axesA=axes[found.at], coordsA="data"
    )
    weights = found.weights.numpy()
    uniform = np.nanmean(np.abs(weights))
    for frame, x, y, weight in found.strongest(ARROWS):
        if style := arrow(weight, uniform):
            end = dict(xyB=(x, y), axesB=axes[frame], coordsB="data")
            patch = ConnectionPatch(**start, **end, **style, zorder=20)
            patch.set_in_layout(False)
            axes[0].figure.add_artist(patch)
