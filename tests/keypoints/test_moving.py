"""Keypoints stay on the pixels that they belong to, and with their boxes.

The image is a map of itself: its channels are x, y and 1 at the centre of each pixel.
What a transform puts under a keypoint is then where that keypoint came from.
"""

import copy

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import TRANSFORMS

from nlse_mm.keypoints import MovesKeypoints
from nlse_mm.keypoints.metainfo import COCO_PERSON, flip_indices

pytestmark = pytest.mark.usefixtures("in_mmdet")
HEIGHT, WIDTH = 90, 120
BOXES = np.float32([[70, 50, 110, 80], [4, 6, 40, 60], [45, 10, 100, 44]])
NAMES = COCO_PERSON["keypoints"]
LEVEL = dict(level=6, prob=1.0)
STEPS = dict(
    resize=dict(type="nlse_mm.ResizeKeypoints", scale=(240, 135), keep_ratio=False),
    fix_scale=dict(
        type="nlse_mm.FixScaleResizeKeypoints", scale=(200, 133), keep_ratio=True
    ),
    fix_shape=dict(
        type="nlse_mm.FixShapeResizeKeypoints", width=200, height=200, keep_ratio=True
    ),
    choice=dict(
        type="RandomChoiceResize",
        scales=[(240, 180), (60, 300)],
        resize_type="nlse_mm.ResizeKeypoints",
    ),
    random=dict(
        type="RandomResize",
        scale=(240, 180),
        ratio_range=(0.5, 2.0),
        resize_type="nlse_mm.FixScaleResizeKeypoints",
        keep_ratio=True,
    ),
    shortest_edge=dict(
        type="ResizeShortestEdge",
        scale=143,
        max_size=180,
        resize_type="nlse_mm.ResizeKeypoints",
    ),
    flip=dict(
        type="nlse_mm.FlipKeypoints",
        prob=[0.3, 0.3, 0.3],
        direction=["horizontal", "vertical", "diagonal"],
    ),
    crop=dict(type="nlse_mm.CropKeypoints", crop_size=(70, 50)),
    relative_crop=dict(
        type="nlse_mm.CropKeypoints",
        crop_size=(0.3, 0.4),
        crop_type="relative_range",
        bbox_clip_border=False,
    ),
    min_iou_crop=dict(type="nlse_mm.MinIoUCropKeypoints"),
    expand=dict(type="nlse_mm.ExpandKeypoints", prob=1.0),
    affine=dict(type="nlse_mm.AffineKeypoints", max_translate_ratio=0.3),
    rotate=dict(type="nlse_mm.RotateKeypoints", **LEVEL),
    shear_x=dict(type="nlse_mm.ShearXKeypoints", **LEVEL),
    shear_y=dict(type="nlse_mm.ShearYKeypoints", **LEVEL),
    translate_x=dict(type="nlse_mm.TranslateXKeypoints", **LEVEL),
    translate_y=dict(type="nlse_mm.TranslateYKeypoints", **LEVEL),
    pad=dict(type="Pad", pad_to_square=True),
)


def sample():
    """Three people with keypoints anywhere in their boxes, a third not labelled."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    size = (BOXES[:, 2:] - BOXES[:, :2])[:, None]
    keypoints = np.zeros((3, 17, 3), np.float32)
    keypoints[..., :2] = BOXES[:, None, :2] + size * rng.uniform(0.1, 0.9, (3, 17, 2))
    keypoints[..., 2] = rng.integers(0, 3, (3, 17))
    keypoints[keypoints[..., 2] == 0] = 0
    return dict(
        img=np.stack((x, y, np.ones_like(x)), -1).astype(np.float32),
        img_shape=(HEIGHT, WIDTH),
        gt_bboxes=HorizontalBoxes(BOXES.copy()),
        gt_bboxes_labels=np.array([5, 6, 7]),
        gt_ignore_flags=np.array([False, True, False]),
        gt_keypoints=keypoints,
        flip_indices=flip_indices(COCO_PERSON),
    )


def partner(name):
    return name.replace("left", "R").replace("right", "left").replace("R", "right")


def under(image, xy):
    """What the image shows at (n, 2) points: (n, 3), bilinear."""
    map_xy = (xy - 0.5).astype(np.float32)[:, None]
    return cv2.remap(image, map_xy, None, cv2.INTER_LINEAR)[:, 0]


def check(before, after):
    """Check each instance that is left by hand; return how many keypoints moved."""
    kept = after["gt_bboxes_labels"] - 5
    assert len(after["gt_keypoints"]) == len(after["gt_bboxes"]) == len(kept)
    assert np.array_equal(after["gt_ignore_flags"], before["gt_ignore_flags"][kept])
    mirrored = after.get("flip") and after["flip_direction"] != "diagonal"
    moved = 0
    for r, box, found in zip(
        kept, after["gt_bboxes"].numpy(), after["gt_keypoints"], strict=True
    ):
        for k, name in enumerate(NAMES):
            source = NAMES.index(partner(name)) if mirrored else k
            origin = before["gt_keypoints"][r, source]
            if found[k, 2] == 0:
                assert (found[k] == 0).all()
                continue
            assert found[k, 2] == origin[2]
            assert (found[k, :2] >= box[:2] - 1e-3).all()
            assert (found[k, :2] <= box[2:] + 1e-3).all()
            *shown, valid = under(after["img"], found[k : k + 1, :2])[0]
            if abs(valid - 1) < 1e-4:  # not at the border of what is filled
                # AffineKeypoints: half a pixel of a scale of 0.5, and the rotation
                np.testing.assert_allclose(shown, origin[:2], atol=1)
            moved += np.abs(found[k, :2] - origin[:2]).max() > 2
    return moved


@pytest.mark.parametrize("name", STEPS)
def test_keypoints_stay_on_their_pixels_and_in_their_box(name):
    transform = TRANSFORMS.build(copy.deepcopy(STEPS[name]))
    moved = labelled = 0
    for seed in range(12):
        np.random.seed(seed)
        after = transform(sample())
        moved += check(sample(), after)
        labelled += (after["gt_keypoints"][..., 2] > 0).sum()
    assert labelled > 12
    assert moved > 12 or name == "pad"


@pytest.mark.parametrize("name", ["resize", "flip", "crop", "rotate", "shear_x"])
def test_keypoints_are_moved_by_the_recorded_homography(name):
    transform = TRANSFORMS.build(copy.deepcopy(STEPS[name]))
    for seed in range(5):
        np.random.seed(seed)
        before, after = sample(), transform(sample())
        matrix = after.get("homography_matrix", np.eye(3))
        origins = before["gt_keypoints"][after["gt_bboxes_labels"] - 5]
        if after.get("flip") and after["flip_direction"] != "diagonal":
            origins = origins[:, [NAMES.index(partner(n)) for n in NAMES]]
        found = after["gt_keypoints"]
        points = np.concatenate(
            (origins[..., :2], np.ones((*origins.shape[:2], 1))), -1
        )
        expected = (points @ matrix.T)[..., :2]
        left = found[..., 2] > 0
        np.testing.assert_allclose(found[left][:, :2], expected[left], atol=1e-3)
        height, width = after["img_shape"]
        inside = ((expected >= 0) & (expected <= (width, height))).all(-1)
        assert np.array_equal(left, inside & (origins[..., 2] > 0))


@pytest.mark.parametrize("name", STEPS)
def test_a_transform_does_not_write_into_what_other_views_share(name):
    shared = sample()
    kept = copy.deepcopy(shared)
    np.random.seed(0)
    TRANSFORMS.build(copy.deepcopy(STEPS[name]))(copy.copy(shared))
    for key in ("gt_keypoints", "gt_bboxes_labels", "gt_ignore_flags"):
        assert np.array_equal(shared[key], kept[key])
    if name != "pad":
        assert np.array_equal(shared["gt_bboxes"].numpy(), BOXES)


@pytest.mark.parametrize("name", ["resize", "flip", "crop", "expand", "affine"])
def test_keypoints_follow_arrays_of_boxes_and_move_without_boxes(name):
    transform = TRANSFORMS.build(copy.deepcopy(STEPS[name]))
    found = []
    for boxes in ("as they are", "an array", "none"):
        given = sample()
        if boxes == "an array":
            given["gt_bboxes"] = BOXES.copy()
        elif boxes == "none":
            del given["gt_bboxes"], given["gt_bboxes_labels"]
        np.random.seed(1)
        found.append(transform(given))
    kept = found[0]["gt_bboxes_labels"] - 5
    assert np.array_equal(found[1]["gt_keypoints"], found[0]["gt_keypoints"])
    assert np.array_equal(found[2]["gt_keypoints"][kept], found[0]["gt_keypoints"])
    assert np.array_equal(found[1]["gt_bboxes"], found[0]["gt_bboxes"].numpy())
    assert not {"gt_bboxes", "gt_bboxes_labels"} & set(found[2])


def test_boxes_recomputed_from_cropped_masks_keep_their_keypoints():
    given = sample()
    masks = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, BOXES.astype(int), strict=True):
        mask[y1:y2, x1:x2] = 1
    given["gt_masks"] = BitmapMasks(masks, HEIGHT, WIDTH)
    crop = STEPS["crop"] | dict(recompute_bbox=True)
    for seed in range(5):
        np.random.seed(seed)
        after = TRANSFORMS.build(crop)(copy.deepcopy(given))
        assert type(after["gt_bboxes"]) is HorizontalBoxes
        check(given, after)


def test_dropped_boxes_drop_their_keypoints():
    narrow = dict(type="nlse_mm.FilterKeypoints", min_gt_bbox_wh=(38, 1))
    before, after = sample(), TRANSFORMS.build(narrow)(sample())
    assert after["gt_bboxes_labels"].tolist() == [5, 7]
    assert np.array_equal(after["gt_keypoints"], before["gt_keypoints"][[0, 2]])
    erase = dict(
        type="nlse_mm.EraseKeypoints", n_patches=6, ratio=0.4, bbox_erased_thr=0.3
    )
    lost = 0
    for seed in range(8):
        np.random.seed(seed)
        after = TRANSFORMS.build(erase)(sample())
        kept = after["gt_bboxes_labels"] - 5
        assert np.array_equal(after["gt_keypoints"], before["gt_keypoints"][kept])
        assert np.array_equal(after["gt_bboxes"].numpy(), BOXES[kept])
        assert np.array_equal(after["gt_ignore_flags"], before["gt_ignore_flags"][kept])
        lost += 3 - len(kept)
    assert lost > 0


def test_an_image_without_people_passes():
    for name, step in STEPS.items():
        empty = sample()
        empty["gt_bboxes"] = empty["gt_bboxes"][[]]
        for key in ("gt_keypoints", "gt_bboxes_labels", "gt_ignore_flags"):
            empty[key] = empty[key][:0]
        if name == "crop":
            step = step | dict(allow_negative_crop=True)
        if name == "relative_crop":
            continue
        after = TRANSFORMS.build(copy.deepcopy(step))(empty)
        assert after["gt_keypoints"].shape == (0, 17, 3)


def test_proposals_are_moved_with_boxes_and_keypoints():
    steps = [STEPS["resize"], STEPS["flip"] | dict(prob=1.0, direction="horizontal")]
    given = sample() | dict(proposals=HorizontalBoxes(BOXES[:2]))
    wrapper = dict(type="ProposalBroadcaster", transforms=steps)
    after = TRANSFORMS.build(wrapper)(given)
    assert check(sample(), after) > 12
    assert np.array_equal(after["proposals"].numpy(), after["gt_bboxes"].numpy()[:2])


class Quarter(BaseTransform):
    """A user's own: turn by 180 degrees and shift, by the boxes' own methods."""

    def transform(self, results):
        results["img"] = np.pad(results["img"][::-1, ::-1], ((7, 0), (5, 0), (0, 0)))
        height, width = results["img_shape"]
        results["img_shape"] = results["img"].shape[:2]
        boxes = results["gt_bboxes"][np.array([2, 0])].clone()
        boxes.rotate_((width / 2, height / 2), 180)
        boxes.translate_((5, 7))
        results["gt_bboxes"] = boxes
        results["gt_bboxes_labels"] = results["gt_bboxes_labels"][[2, 0]]
        return results


def test_a_users_own_transform_takes_keypoints_along_by_the_mixin():
    class QuarterKeypoints(MovesKeypoints, Quarter):
        pass

    after = QuarterKeypoints()(sample())
    assert after["gt_bboxes_labels"].tolist() == [7, 5]
    assert check(sample(), after) > 12


def test_boxes_of_another_kind_are_refused():
    given = sample() | dict(gt_bboxes=BOXES.tolist())
    with pytest.raises(ValueError, match="boxes of the kind list"):
        TRANSFORMS.build(STEPS["resize"])(given)
