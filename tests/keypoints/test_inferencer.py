"""MMDetection's own inference from Python gives joints and draws them."""

from pathlib import Path

import numpy as np
import pytest

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "keypoint_rcnn_r18_nl.py"


def test_det_inferencer_finds_joints_and_draws_them(tmp_path):
    pytest.importorskip("mmdet")
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(model=str(CONFIG), device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    result = inferencer(image, out_dir=str(tmp_path), return_datasamples=True)
    found = result["predictions"][0].pred_instances
    assert found.keypoints.shape == (len(found.bboxes), 17, 2)
    assert list(tmp_path.rglob("*.jpg"))
