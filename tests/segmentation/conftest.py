"""A folder of images and labels, small and in COCO's layout."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path):
    """Three images of 8 x 12, labels for the first and the last."""
    (tmp_path / "train2017").mkdir()
    (tmp_path / "semantic" / "train2017").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("000000000003", "000000000005", "000000000009"):
        image = rng.integers(0, 256, (8, 12, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "train2017" / f"{name}.jpg"), image)
    for name in ("000000000003", "000000000009"):
        labels = rng.integers(0, 133, (8, 12), np.uint8)
        labels[0, 0], labels[0, 1] = 132, 255
        write_labels(tmp_path, name, labels)
    return tmp_path


def write_labels(folder, name, labels):
    path = folder / "semantic" / "train2017" / f"{name}.png"
    assert cv2.imwrite(str(path), labels)
    return path
