"""Compare images with the sizes in their annotation file."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import is_stock

from .agreement import Warn

_FILES = 32
_EXIF_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)  # orientations that exchange height and width


def check_image_sizes(dataset: Any, key: str, warn: Warn) -> None:
    """Compare some images, spread over the data set, with ``height`` and ``width``.

    Args:
        dataset: A data set proper.
        key: Its place in the config.
        warn: What to call for a size that is wrong without harm to boxes.

    Raises:
        ConfigError: If an image is turned, or its annotations can't be of its size.
    """
    loader = next(iter(pipeline_of(dataset)), None)
    if not type(loader).__name__.startswith("LoadImageFromFile"):
        return
    ann_file = getattr(dataset, "ann_file", None) or "the data set"
    others: list[str] = []
    for i in spread(len(dataset), _FILES):
        info = dataset.get_data_info(i)
        said = (info.get("height"), info.get("width"))
        path = info.get("img_path")
        if _is_gone(path, loader):
            raise ConfigError(f"{key}: the image {path} of {ann_file} does not exist")
        if not all(isinstance(n, int) and n > 0 for n in said):
            continue
        size, is_turned = loaded_size(path, loader)
        if size is None or size == said:
            continue
        reason = "; its EXIF orientation turns it when it is read" if is_turned else ""
        sentence = (
            f"{key}: the image {path} is {size[0]} x {size[1]} (H x W), but "
            f"{ann_file} says {said[0]} x {said[1]}{reason}"
        )
        if (
            size == said[::-1]
            or "keypoints" in dataset.metainfo
            or _sticks_out(info, size)
        ):
            raise ConfigError(
                f"{sentence}: boxes and keypoints would not lie where they belong"
            )
        others.append(sentence)
    if others:
        more = f", and so it is with {len(others) - 1} more of those compared"
        warn(others[0] + more * (len(others) > 1))


def _is_gone(path: Any, loader: Any) -> bool:
    """Say whether a stock loader will find no such file on this machine's disk."""
    if not isinstance(path, str) or "://" in path or os.path.exists(path):
        return False
    remote = ("backend_args", "file_client_args", "ignore_empty")
    return is_stock(type(loader)) and not any(
        getattr(loader, name, None) for name in remote
    )


def pipeline_of(dataset: Any) -> list[Any]:
    """Return the transforms of a data set, or none."""
    return list(getattr(getattr(dataset, "pipeline", None), "transforms", ()))


def spread(number: int, most: int) -> Iterator[int]:
    """Yield at most ``most`` of the places 0 to ``number - 1``, evenly spread."""
    places = np.linspace(0, number - 1, min(number, most)).round()
    yield from (int(place) for place in places)


def loaded_size(path: Any, loader: Any) -> tuple[tuple[int, int] | None, bool]:
    """Return the size that ``LoadImageFromFile`` gives, from the file's header.

    Returns:
        Height and width, None for a file that can't be read so; and whether EXIF
        exchanges them.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            is_turned = image.getexif().get(_EXIF_ORIENTATION) in _TURNED
            is_jpeg = image.format == "JPEG"
    except (OSError, ValueError, AttributeError, SyntaxError):
        return None, False
    backend = getattr(loader, "imdecode_backend", None)
    is_heeded = getattr(loader, "color_type", None) in ("color", "grayscale")
    if not (is_turned and is_heeded and backend in ("cv2", "pillow")):
        return (height, width), False
    if backend == "cv2" and not is_jpeg:  # it depends on OpenCV's version
        return None, False
    return (width, height), True


def _sticks_out(info: dict[str, Any], size: tuple[int, int]) -> bool:
    """Say whether a box ends more than a pixel outside an image of this size."""
    boxes = [instance["bbox"] for instance in info.get("instances") or ()]
    ends = np.array(boxes, dtype=float).reshape(-1, 4)[:, [3, 2]]
    return bool((ends > np.add(size, 1)).any())
