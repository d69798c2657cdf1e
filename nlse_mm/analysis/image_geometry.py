"""From an image's pixels to the network's input and its maps, and back.

Points are (x, y), sizes (H, W); a point's pixel reaches from x to x + 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nlse_mm.errors import ConfigError


@dataclass(frozen=True)
class ImageGeometry:
    """How an image lies on the network's input: resized, flipped, padded.

    Padding is on the right and at the bottom, as the toolboxes do it.

    Args:
        image: (H, W) of the image, in pixels.
        network: (H, W) of the network's input with its padding, in pixels.
        scale: Pixels of the input for a pixel of the image, (x, y).
        mirrored: Whether the image is flipped left to right, and top to bottom.
    """

    image: tuple[int, int]
    network: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    mirrored: tuple[bool, bool] = (False, False)

    @classmethod
    def from_metainfo(
        cls, metainfo: Mapping[str, Any], network: tuple[int, int]
    ) -> "ImageGeometry":
        """Read a data sample's ``metainfo``, as the toolboxes write it."""
        height, width = metainfo["ori_shape"][:2]
        across, down = metainfo.get("scale_factor", (1.0, 1.0))[:2]
        direction = metainfo.get("flip_direction") if metainfo.get("flip") else None
        return cls(
            (height, width),
            network,
            (float(across), float(down)),
            (
                direction in ("horizontal", "diagonal"),
                direction in ("vertical", "diagonal"),
            ),
        )

    def to_network(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the image is on the network's input."""
        across, down = (
            scale * (side - at if mirrored else at)
            for at, side, scale, mirrored in self._axes(x, y)
        )
        return across, down

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the input is on the image, or beyond its edge."""
        across, down = (
            side - at / scale if mirrored else at / scale
            for at, side, scale, mirrored in self._axes(x, y)
        )
        return across, down

    def cell(self, point: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """Return row and column, on a map of ``size``, of a pixel of the image.

        Raises:
            ConfigError: If the pixel is outside of the image.
        """
        height, width = self.image
        x, y = point
        if not (0 <= x < width and 0 <= y < height):
            raise ConfigError(
                f"the point {x},{y} is outside of the image, which has x from 0 to "
                f"{width - 1} and y from 0 to {height - 1}"
            )
        across, down = self.to_network(x + 0.5, y + 0.5)
        row = int(down * size[0] / self.network[0])
        column = int(across * size[1] / self.network[1])
        return min(row, size[0] - 1), min(column, size[1] - 1)

    def _axes(self, x: float, y: float) -> Iterator[tuple[float, int, float, bool]]:
        """Yield for each axis: point, image's side, scale, whether it is mirrored."""
        height, width = self.image
        yield from zip((x, y), (width, height), self.scale, self.mirrored, strict=True)
