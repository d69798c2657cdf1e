"""A folder of images and COCO files, and data sets built from it."""

import json

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

from nlse_mm.toolbox import installed

HEIGHT, WIDTH = 24, 32

if not installed("mmdet"):
    collect_ignore_glob = ["test_agreement.py", "test_empty_data.py"]


@pytest.fixture
def coco(tmp_path):
    """Write ``{name}.json`` with these categories, one box of each in each image."""
    rng = np.random.default_rng(0)
    for n in range(2):
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{n}.jpg"), image)

    def write(name, *categories, boxes=True):
        content = dict(
            images=[
                dict(id=n, file_name=f"{n}.jpg", height=HEIGHT, width=WIDTH)
                for n in range(2)
            ],
            annotations=[],
            categories=[dict(id=i, name=n) for i, n in enumerate(categories, 1)],
        )
        for n in range(2 * boxes):
            for i in range(len(categories)):
                content["annotations"].append(
                    dict(
                        id=len(content["annotations"]) + 1,
                        image_id=n,
                        category_id=i + 1,
                        bbox=[4, 4, 10, 10],
                        area=100,
                        iscrowd=0,
                    )
                )
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def build(tmp_path, in_mmdet):
    """Build a CocoDataset of a file in the folder."""

    def run(file, *classes, **kwargs):
        metainfo = dict(classes=classes) if classes else {}
        cfg = dict(
            type="CocoDataset",
            data_root=str(tmp_path),
            ann_file=str(file),
            data_prefix=dict(img=""),
            metainfo=metainfo,
            pipeline=[dict(type="LoadImageFromFile")],
        )
        return DATASETS.build(cfg | kwargs)

    return run
