#!/usr/bin/env python
"""Make a small person_keypoints data set of stick figures, the same for the same seed.

    tools/data/make_tiny_people.py data/tiny_people
    tools/data/make_tiny_people.py data/more_people --train 2000 --val 200

COCO's layout and COCO's 17 joints. Left limbs are blue and right ones orange, for a
figure that faces us. A bar in front of some figures hides joints (visibility 1), and
joints outside the picture are not labelled (0).
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

SPLITS = ("train2017", "val2017")
SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["nose", *(f"{side}_{j}" for j in SIDED for side in ("left", "right"))]
# Indices into NAMES; even ones are right joints, odd ones left, 0 is the nose.
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
TRUNK = ((5, 6), (5, 11), (6, 12), (11, 12))
LEFT, RIGHT, MIDDLE = (255, 120, 0), (0, 120, 255), (40, 190, 40)  # BGR


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="folder to make, new or empty")
    parser.add_argument("--train", type=int, default=800, help="images (800)")
    parser.add_argument("--val", type=int, default=100, help="images (100)")
    parser.add_argument("--size", type=int, nargs=2, default=[160, 192], help="H W")
    parser.add_argument("--seed", type=int, default=0, help="0 or more (0)")
    args = parser.parse_args(arguments)
    if min(args.train, args.val) < 1 or min(args.size) < 96 or args.seed < 0:
        sys.exit(
            "make_tiny_people: --train and --val must be 1 or more, --size 96 or more "
            "each way, --seed 0 or more."
        )
    if args.target.exists() and any(args.target.iterdir()):
        sys.exit(f"make_tiny_people: {args.target} is not empty: name a new folder.")
    (args.target / "annotations").mkdir(parents=True)
    for index, split in enumerate(SPLITS):
        write(args, split, index, args.val if index else args.train)


def write(args: argparse.Namespace, split: str, index: int, count: int) -> None:
    """Write the images and the annotation file of one split."""
    (args.target / split).mkdir()
    images, annotations = [], []
    for number in track(range(count), description=split):
        rng = np.random.default_rng([args.seed, index, number])
        picture, people = draw(rng, *args.size)
        name = f"{number + 1:012d}.jpg"
        cv2.imwrite(str(args.target / split / name), picture)
        height, width = args.size
        image = dict(id=number + 1, file_name=name, height=height, width=width)
        images.append(image)
        for person in people:
            ids = dict(id=len(annotations) + 1, image_id=number + 1, category_id=1)
            annotations.append(ids | person)
    skeleton = [[a + 1, b + 1] for a, b in LIMBS + TRUNK]
    person = dict(id=1, name="person", keypoints=NAMES, skeleton=skeleton)
    content = dict(images=images, annotations=annotations, categories=[person])
    path = args.target / "annotations" / f"person_keypoints_{split}.json"
    path.write_text(json.dumps(content))


def draw(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, list[dict]]:
    """A picture (H, W, 3) with one or two figures beside each other."""
    picture = np.full((height, width, 3), rng.uniform(90, 200, 3))
    coarse = rng.uniform(-50, 50, (6, 8, 3))
    picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    count = rng.integers(1, 3)
    people = []
    for i in range(count):
        tall = height * rng.uniform(0.55, 0.95)
        middle = np.array([(i + rng.uniform(0.35, 0.65)) / count, 0.5])
        middle = middle * (width, height) + rng.normal(0, 0.05 * height, 2)
        joints = pose(rng) * tall + middle
        paint(picture, joints, tall)
        hidden = np.zeros(len(NAMES), dtype=bool)
        if rng.random() < 0.3:
            top = middle[1] + tall * rng.uniform(-0.3, 0.3)
            low, high = (middle[0] - tall, top), (middle[0] + tall, top + 0.08 * tall)
            corners = [tuple(int(v) for v in corner) for corner in (low, high)]
            cv2.rectangle(picture, *corners, rng.uniform(60, 200, 3).tolist(), -1)
            hidden = (joints[:, 1] > top) & (joints[:, 1] < high[1])
        people.append(annotate(joints, hidden, height, width))
    picture += rng.normal(0, 6, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), [p for p in people if p]


def pose(rng: np.random.Generator) -> np.ndarray:
    """Joints (17, 2) of an upright figure of height 1 around (0, 0)."""
    joints = np.zeros((17, 2))
    joints[0] = (0, -0.40)
    # Facing us, the figure's left is the picture's right.
    for left, x, y in ((1, 0.025, -0.43), (3, 0.06, -0.41), (5, 0.11, -0.28)):
        joints[left], joints[left + 1] = (x, y), (-x, y)
    joints[11], joints[12] = (0.07, 0.02), (-0.07, 0.02)
    for side, shift in ((1, 0), (-1, 1)):
        arm = rng.uniform(-0.3, 2.2)  # 0 is hanging down
        fore = arm + rng.uniform(-0.2, 1.0)
        leg = rng.uniform(-0.1, 0.6)
        shin = leg + rng.uniform(-0.4, 0.1)
        for start, end, angle, length in (
            (5, 7, arm, 0.16),
            (7, 9, fore, 0.15),
            (11, 13, leg, 0.23),
            (13, 15, shin, 0.22),
        ):
            step = length * np.array([side * np.sin(angle), np.cos(angle)])
            joints[end + shift] = joints[start + shift] + step
    turn = rng.normal(0, 0.12)
    c, s = np.cos(turn), np.sin(turn)
    return joints @ np.array([[c, s], [-s, c]])


def paint(picture: np.ndarray, joints: np.ndarray, tall: float) -> None:
    """Draw a figure into the picture."""
    at = [tuple(int(v) for v in joint) for joint in joints]
    thick = max(2, round(tall / 28))
    for a, b in TRUNK:
        cv2.line(picture, at[a], at[b], MIDDLE, thick, cv2.LINE_AA)
    for a, b in LIMBS:
        cv2.line(picture, at[a], at[b], LEFT if a % 2 else RIGHT, thick, cv2.LINE_AA)
    cv2.circle(picture, at[0], int(0.075 * tall), (190, 210, 240), -1, cv2.LINE_AA)
    for k in range(17):
        colour = (60, 60, 200) if k == 0 else (LEFT if k % 2 else RIGHT)
        cv2.circle(picture, at[k], max(1, thick // 2), colour, -1, cv2.LINE_AA)


def annotate(
    joints: np.ndarray, hidden: np.ndarray, height: int, width: int
) -> dict | None:
    """What COCO's file says of a figure; None if too little of it is in the picture."""
    margin = 0.05 * np.ptp(joints[:, 1])
    low = (joints.min(0) - margin).clip(0)
    high = (joints.max(0) + margin).clip(max=(width, height))
    inside = ((joints >= 0) & (joints < (width, height))).all(1)
    if inside.sum() < 4:
        return None
    visibility = np.where(inside, np.where(hidden, 1, 2), 0)
    table = np.column_stack((np.floor(joints), visibility))  # pixel indices
    table[~inside] = 0
    w, h = (high - low).tolist()
    return dict(
        bbox=[*low.tolist(), w, h],
        area=0.5 * w * h,
        iscrowd=0,
        keypoints=table.astype(int).flatten().tolist(),
        num_keypoints=int(inside.sum()),
    )


if __name__ == "__main__":
    main()
