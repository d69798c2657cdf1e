"""Find out from a label image's header which labels can be read from it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from nlse_mm.errors import ConfigError

_DEEP = ("I", "F")  # Pillow's modes of more than eight bits begin so
_SCALED = {"L;2": 2, "L;4": 4}  # grey of few bits, which is stretched to 0 to 255


@dataclass(frozen=True)
class Kind:
    """Hold format and mode of an image, and the bits of a grey one to be stretched."""

    format: str = ""
    mode: str = ""
    bits: int = 0

    @property
    def is_deep(self) -> bool:
        """Say whether its values must be checked before they become bytes."""
        return self.mode.startswith(_DEEP) or self.bits > 0

    @property
    def reason(self) -> str:
        """Return why its labels may be wrong; empty for nothing that stands out."""
        if self.format in ("JPEG", "WEBP"):
            return (
                f"; it is a {self.format}, whose compression changes labels: write PNG"
            )
        return ""

    def colour(self, backend: str) -> str:
        """Return what makes a colour image of it."""
        if self.mode == "P":
            return (
                f"; imdecode_backend={backend!r} turns its palette into colours, and "
                "'pillow' reads the labels"
            )
        if self.mode in ("LA", "PA", "RGBA"):
            return "; it has an alpha channel, which labels don't have"
        return ""


def kind_of(path: str) -> Kind:
    """Return the kind of a file, or an empty one if Pillow can't read it.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if "://" in path:
        return Kind()
    try:
        with Image.open(path) as image:
            bits = 0
            if image.format == "PNG" and image.tile:
                bits = _SCALED.get(image.tile[0][3], 0)
            return Kind(image.format or "", image.mode, bits)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError):
        return Kind()


def check_depth(raw: np.ndarray, path: str, kind: Kind) -> None:
    """Check that labels stay what they are when they become bytes.

    Args:
        raw: The values as they are decoded.
        path: The file.
        kind: Its kind.

    Raises:
        ConfigError: Naming a value that would become another one.
    """
    if kind.bits:
        # All-one bits stay 255, and 0 is 0.
        wrong = raw[(raw != 0) & (raw != 255)]
        if wrong.size:
            step = 255 // (2**kind.bits - 1)
            raise ConfigError(
                f"the labels {path} are a grey image of {kind.bits} bits, which is "
                f"stretched as it is read: label {wrong.max() // step} becomes "
                f"{wrong.max()}; write 8 bits"
            )
        return
    byte = raw.astype(np.int64).astype(np.uint8)
    # 65535 and -1 become 255, which is what they usually mean: no label.
    wrong = raw[(raw != byte) & ~np.isin(raw, (65535, -1))]
    if wrong.size:
        value = wrong.flat[np.abs(wrong).argmax()]
        became = np.asarray(value).astype(np.int64).astype(np.uint8)
        raise ConfigError(
            f"the labels {path} have {value}, but labels are read as bytes, 0 to 255, "
            f"and it would become {became}"
        )
