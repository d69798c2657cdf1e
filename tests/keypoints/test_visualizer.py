"""Keypoints are drawn where they are, in their sides' colours."""

import numpy as np
import pytest
import torch
from mmengine.registry import VISUALIZERS
from mmengine.structures import InstanceData

from nlse_mm.keypoints.metainfo import COCO_PERSON
from nlse_mm.keypoints.visualizer import LEFT, MIDDLE, RIGHT, _colour

pytestmark = pytest.mark.usefixtures("in_mmdet")
NAMES = list(COCO_PERSON["keypoints"])
LEFT_WRIST, RIGHT_WRIST = NAMES.index("left_wrist"), NAMES.index("right_wrist")


def draw(**fields):
    """One person whose keypoints are all at (0, 0) but the wrists and the nose."""
    visualizer = VISUALIZERS.build(
        dict(type="nlse_mm.KeypointVisualizer", name=str(fields))
    )
    visualizer.dataset_meta = dict(classes=("person",), palette=[0], **COCO_PERSON)
    keypoints = torch.zeros(1, 17, 2)
    keypoints[0, 0] = torch.tensor([150.0, 40.0])
    keypoints[0, LEFT_WRIST] = torch.tensor([150.0, 100.0])
    keypoints[0, RIGHT_WRIST] = torch.tensor([50.0, 100.0])
    fields = {
        name: torch.tensor([[values.get(n, 0) for n in NAMES]])
        for name, values in fields.items()
    }
    person = InstanceData(keypoints=keypoints, labels=torch.zeros(1), **fields)
    return visualizer._draw_instances(
        np.zeros((200, 200, 3), np.uint8), person, ("person",), None
    )


def test_keypoints_are_drawn_in_the_colours_of_their_sides():
    image = draw(keypoint_scores=dict(nose=0.5, left_wrist=0.5, right_wrist=0.5))
    assert np.allclose(image[40, 150], MIDDLE, atol=10)
    assert np.allclose(image[100, 150], LEFT, atol=10)
    assert np.allclose(image[100, 50], RIGHT, atol=10)


def test_unsure_keypoints_are_left_out():
    image = draw(keypoint_scores=dict(nose=0.5, left_wrist=0.001, right_wrist=0.5))
    assert image[100, 50].any()
    assert not image[100, 150].any()


def test_of_the_truth_hidden_keypoints_are_rings_and_unlabelled_ones_missing():
    image = draw(keypoints_visible=dict(nose=2.0, left_wrist=1.0))
    assert image[40, 150].any()
    assert not image[100, 150].any()
    assert image[95:106, 145:156].any()
    assert not image[95:106, 45:56].any()


def test_a_keypoint_on_the_border_does_not_shrink_the_image():
    image = draw(keypoints_visible=dict(left_eye=2.0))  # at (0, 0)
    assert np.allclose(image[0, 0], LEFT, atol=10)
    image[:10, :10] = 0
    assert not image.any()


def test_sides_are_coloured_however_they_are_written():
    found = [_colour(name) for name in ("L_Eye", "RightHip", "lip", "upright", "eyeL")]
    assert found == [LEFT, RIGHT, MIDDLE, MIDDLE, LEFT]
