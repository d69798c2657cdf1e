"""Inference from Python gives keypoints, writes them and draws them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "keypoint_rcnn_r18_nl.py"


@pytest.fixture(scope="module")
def inferencer():
    from nlse_mm.keypoints import KeypointInferencer

    return KeypointInferencer(model=str(CONFIG), device="cpu", show_progress=False)


def noise(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)


def test_det_inferencer_finds_keypoints_and_draws_them(tmp_path):
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(model=str(CONFIG), device="cpu")
    result = inferencer(noise(0), out_dir=str(tmp_path), return_datasamples=True)
    found = result["predictions"][0].pred_instances
    assert found.keypoints.shape == (len(found.bboxes), 17, 2)
    assert list(tmp_path.rglob("*.jpg"))


def test_ours_returns_them_by_default_and_writes_them(inferencer, tmp_path):
    paths = []
    for i in range(2):
        paths.append(str(tmp_path / f"in.{i}.png"))
        cv2.imwrite(paths[i], noise(i))
    samples = inferencer(paths, return_datasamples=True)["predictions"]
    found = inferencer(paths, batch_size=2, out_dir=str(tmp_path), no_save_pred=False)[
        "predictions"
    ]
    for i, (sample, result) in enumerate(zip(samples, found, strict=True)):
        instances = sample.pred_instances
        assert len(instances) > 1
        for key in ("keypoints", "keypoint_scores", "bboxes", "scores", "labels"):
            expected = instances[key].numpy()
            np.testing.assert_allclose(result[key], expected, rtol=1e-4, atol=1e-3)
        written = json.loads((tmp_path / "preds" / f"in.{i}.json").read_text())
        assert written == result


def test_arrays_have_numbers_for_names(inferencer, tmp_path):
    images = [noise(i) for i in range(2)]
    found = inferencer(images, out_dir=str(tmp_path), no_save_pred=False)
    for i, result in enumerate(found["predictions"]):
        assert json.loads((tmp_path / "preds" / f"{i}.json").read_text()) == result
        assert np.shape(result["keypoints"])[1:] == (17, 2)
    assert found["predictions"][0] != found["predictions"][1]
