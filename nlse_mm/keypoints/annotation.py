"""Clean one annotation: compute what is missing, refuse what can't be computed.

Shapes: K keypoints.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from nlse_mm.errors import ConfigError
from nlse_mm.validation.coco_json import short

from .mask_extent import Extent, mask_extent
from .values import MAX_SIDE, is_absent, number

# A box or a keypoint may reach beyond its image, as guessed boxes of people do who are
# partly outside; so many of the image's longer sides are an error of the file.
_FAR = 10


class Cleaner:
    """Clean the annotations of one file.

    Args:
        names: The keypoints' names.

    Attributes:
        supplied: How often which key was missing, and what it was computed from.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.supplied: Counter[str] = Counter()

    def clean(
        self, raw: dict[str, Any], where: str, size: tuple[int, int] | None
    ) -> dict[str, Any]:
        """Return the annotation with bbox, area, iscrowd, keypoints, num_keypoints.

        Args:
            raw: As the file has it.
            where: File and annotation, for messages.
            size: Width and height of its image; None: not known.

        Raises:
            ConfigError: Naming the key that is wrong, or missing and not to be had.
        """
        keypoints = self._keypoints(raw, where)
        box = self._box(raw, where, size, keypoints)
        x, y, w, h = box
        _check_near((x, x + w), (y, y + h), size, where, "bbox")
        # Unlabelled keypoints are (0, 0), which is near.
        _check_near(keypoints[::3], keypoints[1::3], size, where, "keypoints")
        return dict(
            raw,
            bbox=box,
            area=self._area(raw, where, size, box),
            iscrowd=_flag(raw, "iscrowd", where),
            ignore=_flag(raw, "ignore", where),
            keypoints=keypoints,
            num_keypoints=sum(v > 0 for v in keypoints[2::3]),
        )

    def _keypoints(self, raw: dict[str, Any], where: str) -> list[float]:
        """Return x, y, visibility of each keypoint in one list, 0 for unlabelled."""
        K = len(self.names)
        flat = raw.get("keypoints")
        none: list[float] = [0] * (3 * K)
        if flat == none or is_absent(flat):
            return none
        if not isinstance(flat, list):
            raise ConfigError(f"{where}: keypoints={short(flat)} is not a list")
        if len(flat) == K and all(isinstance(v, list) and len(v) == 3 for v in flat):
            flat = [v for keypoint in flat for v in keypoint]
        if len(flat) != 3 * K:
            raise ConfigError(
                f"{where} has {len(flat)} numbers in keypoints, not {3 * K} (x, y, "
                f"visibility of {K} keypoints)"
            )
        clean: list[float] = []
        for k, name in enumerate(self.names):
            x, y, visibility = flat[3 * k : 3 * k + 3]
            if visibility == 0 or all(map(is_absent, (x, y, visibility))):
                clean += (0, 0, 0)
                continue
            visible = _visible(visibility)
            if visible is None:
                raise ConfigError(
                    f"{where}: keypoints has visibility {short(visibility)} for "
                    f"{name!r}, not 0 (not labelled), 1 (hidden) or 2 (seen)"
                )
            x_pixels, y_pixels = number(x), number(y)
            if visible == 0:
                clean += (0, 0, 0)
            elif x_pixels is None or y_pixels is None:
                raise ConfigError(
                    f"{where}: keypoints has x={short(x)}, y={short(y)} for {name!r}, "
                    f"which is labelled (visibility {visible}): not two numbers"
                )
            else:
                clean += (x_pixels, y_pixels, visible)
        return clean

    def _box(
        self,
        raw: dict[str, Any],
        where: str,
        size: tuple[int, int] | None,
        keypoints: list[float],
    ) -> list[float]:
        """Return x, y, w, h: the file's, or else the mask's, or else the keypoints'."""
        given = raw.get("bbox")
        if not is_absent(given):
            numbers = [number(v) for v in given] if isinstance(given, list) else []
            box = [value for value in numbers if value is not None]
            if not len(numbers) == len(box) == 4:
                raise ConfigError(
                    f"{where}: bbox={short(given)} is not four numbers: x, y, width, "
                    "height"
                )
            if min(box[2:]) < 0:
                raise ConfigError(
                    f"{where}: bbox={short(given)} has a width or height below 0"
                )
            return box
        extent = mask_extent(raw.get("segmentation"), size)
        if extent is not None:
            self.supplied["bbox, taken from the mask"] += 1
            return extent[1]
        labelled = [keypoints[i : i + 2] for i in range(0, len(keypoints), 3)]
        labelled = [xy for xy, v in zip(labelled, keypoints[2::3], strict=True) if v]
        xs, ys = zip(*labelled, strict=True) if labelled else ((0,), (0,))
        x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
        if not w and not h:
            raise ConfigError(
                f"{where} has no bbox, and no mask and no two labelled keypoints that "
                "it could be taken from"
            )
        self.supplied["bbox, taken from the labelled keypoints"] += 1
        return [x, y, w + 1, h + 1]  # pixel indices: the last pixel is in it, whole

    def _area(
        self,
        raw: dict[str, Any],
        where: str,
        size: tuple[int, int] | None,
        box: list[float],
    ) -> float:
        """Return the pixels: the file's, or else the mask's, or else the box's."""
        given = raw.get("area")
        area = number(given)
        is_finite = not isinstance(given, float) or math.isfinite(given)
        if is_absent(given) or area == 0 or not is_finite:
            extent = mask_extent(raw.get("segmentation"), size)
            source = "the box" if extent is None else "the mask"
            self.supplied[f"area, taken from {source}"] += 1
            area, given = _area_of(extent, box), "taken from the mask"
        elif area is None or area < 0:
            raise ConfigError(f"{where}: area={short(given)} is not a number of pixels")
        largest = max(box[2] * box[3], size[0] * size[1] if size else MAX_SIDE**2)
        if area > 1.01 * largest + 1:  # rounding
            raise ConfigError(
                f"{where}: area={short(given)} is more than its box and its image have "
                "pixels"
            )
        return area


def _visible(value: Any) -> int | None:
    """Take a visibility as pycocotools does, to which any above 0 is a label.

    Others than 0, 1 and 2 are in use: -1 for not labelled, COCO-WholeBody's
    confidences, true and false. None for what is no number.
    """
    if isinstance(value, bool):
        return int(value)
    visible = number(value)
    return None if visible is None else math.ceil(min(max(visible, 0), 2))


def _area_of(extent: Extent | None, box: list[float]) -> float:
    return box[2] * box[3] if extent is None else extent[0]


def _check_near(
    xs: Sequence[float],
    ys: Sequence[float],
    size: tuple[int, int] | None,
    where: str,
    key: str,
) -> None:
    """Check that places lie in or around the image."""
    margin = _FAR * max(size) if size else MAX_SIDE
    width, height = size or (0, 0)
    for values, side in ((xs, width), (ys, height)):
        low, high = min(values), max(values)
        if low < -margin or high > side + margin:
            far = short(low if low < -margin else high)
            of = f"of {width} x {height} pixels" if size else "of any size"
            raise ConfigError(
                f"{where}: {key} lies at {far}, far outside an image {of}"
            )


def _flag(raw: dict[str, Any], key: str, where: str) -> int:
    value = raw.get(key)
    if is_absent(value):
        return 0
    flag = int(value) if isinstance(value, bool) else number(value)
    if flag not in (0, 1):
        raise ConfigError(f"{where}: {key}={short(value)} is not 0 or 1")
    return int(flag)
