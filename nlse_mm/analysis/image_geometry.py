"""From an image's pixels to the network's input and its maps, and back.

Points are (x, y), sizes (H, W); a point's pixel reaches from x to x + 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nlse_mm.errors import ConfigError


@dataclass(frozen=True)
class ImageGeometry:
    """How an image lies on the network's input: cropped, resized, flipped, padded.

    Padding is on the right and at the bottom, as the toolboxes do it.

    Args:
        image: (H, W) of the image, in pixels.
        network: (H, W) of the network's input with its padding, in pixels.
        scale: Pixels of the input for a pixel of the image, (x, y).
        mirrored: Whether the image is flipped left to right, and top to bottom.
        crop: The part of the image that the input shows: x and y of its corner, width
            and height, in pixels; the whole image when None.
    """

    image: tuple[int, int]
    network: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    mirrored: tuple[bool, bool] = (False, False)
    crop: tuple[float, float, float, float] | None = None

    @classmethod
    def from_metainfo(
        cls, metainfo: Mapping[str, Any], network: tuple[int, int]
    ) -> "ImageGeometry":
        """Read a data sample's ``metainfo``, as the toolboxes write it."""
        height, width = metainfo["ori_shape"][:2]
        across, down = metainfo.get("scale_factor", (1.0, 1.0))[:2]
        mirrored = _mirrored(metainfo)
        return cls((height, width), network, (float(across), float(down)), mirrored)

    @classmethod
    def of_frames(
        cls, metainfo: Mapping[str, Any], network: tuple[int, int]
    ) -> "ImageGeometry":
        """Read the ``metainfo`` of a clip, whose frames are cropped and not padded.

        Args:
            metainfo: With MMAction2's ``original_shape``, and its ``crop_quadruple``:
                x, y, width and height of the crop as shares of a frame's.
            network: (H, W) of the network's input.
        """
        height, width = metainfo["original_shape"][:2]
        shares = map(float, metainfo.get("crop_quadruple", (0, 0, 1, 1)))
        sides = (width, height, width, height)
        x, y, w, h = (a * b for a, b in zip(shares, sides, strict=True))
        scale, mirrored = (network[1] / w, network[0] / h), _mirrored(metainfo)
        return cls((height, width), network, scale, mirrored, (x, y, w, h))

    def to_network(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the image is on the network's input."""
        across, down = (
            scale * (side - (at - start) if mirrored else at - start)
            for at, start, side, scale, mirrored in self._axes(x, y)
        )
        return across, down

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the input is on the image, or beyond its edge."""
        across, down = (
            start + (side - at / scale if mirrored else at / scale)
            for at, start, side, scale, mirrored in self._axes(x, y)
        )
        return across, down

    def cell(self, point: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Return row and column, on a map of ``size``, of a pixel of the image.

        Raises:
            ConfigError: If the pixel is outside of the image, or of its crop.
        """
        height, width = self.image
        x, y = point
        if not (0 <= x < width and 0 <= y < height):
            raise ConfigError(
                f"the point {x},{y} is outside of the image, which has x from 0 to "
                f"{width - 1} and y from 0 to {height - 1}"
            )
        across, down = self.to_network(x + 0.5, y + 0.5)
        inside = 0 <= across < self.network[1] and 0 <= down < self.network[0]
        if self.crop is not None and not inside:
            left, above, w, h = self.crop
            raise ConfigError(
                f"the point {x},{y} is outside of what the network gets, the crop "
                f"with x from {left:.0f} to {left + w - 1:.0f} and y from {above:.0f} "
                f"to {above + h - 1:.0f}"
            )
        row = int(down * size[0] / self.network[0])
        column = int(across * size[1] / self.network[1])
        return min(row, size[0] - 1), min(column, size[1] - 1)

    def _axes(
        self, x: float, y: float
    ) -> Iterator[tuple[float, float, float, float, bool]]:
        """Yield for each axis: point, start and side of the crop, scale, mirrored."""
        height, width = self.image
        left, above, across, down = self.crop or (0, 0, width, height)
        starts, sides = (left, above), (across, down)
        yield from zip((x, y), starts, sides, self.scale, self.mirrored, strict=True)


def _mirrored(metainfo: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether the image is flipped left to right, and top to bottom."""
    direction = metainfo.get("flip_direction") if metainfo.get("flip") else None
    return (
        direction in ("horizontal", "diagonal"),
        direction in ("vertical", "diagonal"),
    )
