"""The figures of a clip: its frames side by side, and arrows of attention between them.

As figure 3 of the Non-local paper, with the map over each frame.
"""

from typing import Any

import numpy as np
from attention_figure import ARROWS, arrow, draw_image, draw_weights, limits, title
from clips import Clip
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
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


def draw_frames(frames: np.ndarray, heading: str) -> Figure:
    """Draw frames (F, H, W, 3), RGB, with a heading and no attention."""
    columns = min(_COLUMNS, len(frames))
    rows = -(-len(frames) // columns)
    height, width = frames.shape[1:3]
    size = (1.4 * columns, (1.4 * height / width + 0.25) * rows + 0.3)
    figure = Figure(size, layout="constrained")
    figure.suptitle(heading, fontsize=9, x=0.01, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(frames) :]:
        axis.set_axis_off()
    for number, (axis, frame) in enumerate(zip(axes, frames, strict=False)):
        draw_image(axis, frame, None)
        axis.set_title(str(number), fontsize=7)
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
        # What has no weight leaves the frame as it is.
        strength = np.abs(frame.weights.nan_to_num().numpy()) / colors["vmax"]
        heat.set_alpha(0.7 * strength)
        dot = point[:2] if number == found.at else None
        _draw_frame(axis, clip, shown, dot)
    scale = ScalarMappable(Normalize(colors["vmin"], colors["vmax"]), colors["cmap"])
    bar = axes[0].figure.colorbar(scale, ax=list(axes), shrink=0.8, pad=0.01)
    bar.ax.tick_params(labelsize=6)
    said = f"{title(found.block, found.weights.numpy())}, from "
    said += "{},{} of frame {}".format(*point[:2], point[2] % len(clip.frames))
    # Above the frames' titles, and wider than the first of them.
    axes[0].set_title(f"\n{axes[0].get_title()}", fontsize=8)
    above = dict(xycoords="axes fraction", xytext=(0, 15), textcoords="offset points")
    axes[0].annotate(said, (0, 1), fontsize=8, **above).set_in_layout(False)
    _draw_arrows(axes, found, point)


def _draw_frame(
    axis: Axes, clip: Clip, number: int, point: tuple[int, int] | None
) -> None:
    """Draw a frame where it is on the video's."""
    image = clip.frames[number]
    height, width = image.shape[:2]
    corners = clip.geometry.to_image(0, 0), clip.geometry.to_image(width, height)
    draw_image(axis, image, point, corners)


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
