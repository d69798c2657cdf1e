"""Compare an image with its size in the annotation file."""

from typing import Any

from nlse_mm.errors import ConfigError


def check_image_size(results: dict[str, Any]) -> None:
    """Check that the image is as its keypoints were marked on it.

    Args:
        results: Of the pipeline: ``ori_shape`` (H, W) of the image as it was read;
            ``height`` and ``width`` of the annotation file.

    Raises:
        ConfigError: Naming the image, and both sizes.
    """
    said = (results.get("height"), results.get("width"))
    size = tuple(results.get("ori_shape", said)[:2])
    if not all(said) or size == said:  # an image from memory has no file
        return
    turned = "; an EXIF orientation may turn it" if size == said[::-1] else ""
    raise ConfigError(
        f"the image {results.get('img_path')} is {size[0]} x {size[1]} (H x W), but "
        f"its annotation file says {said[0]} x {said[1]}{turned}: keypoints would not "
        "lie where they belong"
    )
