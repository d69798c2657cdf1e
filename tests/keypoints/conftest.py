"""A small person_keypoints file, with images."""

import json

import cv2
import numpy as np
import pytest

from nlse_mm.toolbox import installed

if installed("mmdet"):
    from nlse_mm.keypoints.metainfo import COCO_PERSON
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def people(tmp_path):
    """Folder, and the content of its ``people.json``: four images, nine people."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(1, 5):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 255, (90, 120, 3)))
        images.append(dict(id=i, file_name=f"{i}.png", height=90, width=120))
        for _ in range(2 + (i == 4)):
            x, y, w, h = rng.integers((0, 0, 34, 40), (60, 40, 60, 50)).tolist()
            keypoints = rng.integers((x, y, 0), (x + w, y + h, 3), (17, 3))
            keypoints[keypoints[:, 2] == 0] = 0
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=1,
                    bbox=[x, y, w, h],
                    area=w * h * 0.6,
                    iscrowd=0,
                    keypoints=keypoints.flatten().tolist(),
                    num_keypoints=int((keypoints[:, 2] > 0).sum()),
                )
            )
    annotations[0].update(keypoints=[0] * 51, num_keypoints=0)
    category = dict(id=1, name="person", keypoints=list(COCO_PERSON["keypoints"]))
    content = dict(images=images, annotations=annotations, categories=[category])
    (tmp_path / "people.json").write_text(json.dumps(content))
    return tmp_path, content
