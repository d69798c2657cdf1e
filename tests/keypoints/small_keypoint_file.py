"""A small keypoint file whose missing parts have one right value.

Two images of 120 x 90 pixels. In the first person's annotation the polygon's corners
are the box's, so that mask, box and area follow from each other; the second has no
mask, its keypoints lie in the box's outermost pixels, and its area is the box's.
"""

from nlse_mm.keypoints.metainfo import COCO_PERSON

NAMES = COCO_PERSON["keypoints"]
META = dict(classes=("person",), **COCO_PERSON)


def keypoints(**places):
    """x, y, visibility of all 17; those that aren't given are not labelled."""
    return [v for name in NAMES for v in places.get(name, (0, 0, 0))]


def small():
    images = [dict(id=i, file_name=f"{i}.png", height=90, width=120) for i in (1, 2)]
    common = dict(category_id=1, iscrowd=0)
    first = dict(
        id=1,
        image_id=1,
        bbox=[30, 30, 40, 50],
        area=1500.0,  # the rectangle less a corner of 20 x 50 / 2
        keypoints=keypoints(nose=(50, 40, 2), left_eye=(60, 50, 1)),
        num_keypoints=2,
        segmentation=[[30, 30, 70, 30, 70, 80, 50, 80]],
        **common,
    )
    second = dict(
        id=2,
        image_id=2,
        bbox=[10, 20, 41, 31],
        area=41 * 31,
        keypoints=keypoints(left_hip=(10, 50, 2), right_ankle=(50, 20, 1)),
        num_keypoints=2,
        **common,
    )
    category = dict(id=1, name="person", keypoints=list(NAMES))
    return dict(images=images, annotations=[first, second], categories=[category])
