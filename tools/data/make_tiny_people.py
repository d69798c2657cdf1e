#!/usr/bin/env python
"""Make a small person_keypoints data set of stick figures, the same for the same seed.

    tools/data/make_tiny_people.py data/tiny_people
    tools/data/make_tiny_people.py data/more_people --train 2000 --val 200

COCO's layout and COCO's 17 keypoints. Left limbs are blue and right ones orange, for a
figure that faces us. A bar in front of some figures hides keypoints (visibility 1), and
keypoints outside the image are not labelled (0).
"""

import argparse
import json
import sys

import cv2
import numpy as np
from rich.progress import track
from tiny_coco.folder import SPLITS, parse

SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["nose", *(f"{side}_{j}" for j in SIDED for side in ("left", "right"))]
# Indices into NAMES; even ones are right keypoints, odd ones left, 0 is the nose.
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
TORSO = ((5, 6), (5, 11), (6, 12), (11, 12))
LEFT, RIGHT, MIDDLE = (255, 120, 0), (0, 120, 255), (40, 190, 40)  # BGR


def main(argv: list[str] | None = None) -> None:
    def options(add) -> None:
        add("--size", type=int, nargs=2, default=[160, 192], help="H W")

    def checks(args):
        yield min(args.size) < 96, "--size must be 96 or more pixels each way"

    args = parse(__doc__, argv, (800, 100), options, checks)
    if args.target.exists() and any(args.target.iterdir()):
        sys.exit(f"make_tiny_people: {args.target} is not empty: name a new folder.")
    (args.target / "annotations").mkdir(parents=True)
    for index, split in enumerate(SPLITS):
        write(args, split, index, args.val if index else args.train)


def write(args: argparse.Namespace, split: str, index: int, count: int) -> None:
    """Write the images and the annotation file of one split."""
    (args.target / split).mkdir()
    images, annotations = [], []
    height, width = args.size
    for number in track(range(count), description=split):
        rng = np.random.default_rng([args.seed, index, number])
        image, people = draw(rng, height, width)
        name = f"{number + 1:012d}.jpg"
        cv2.imwrite(str(args.target / split / name), image)
        images.append(dict(id=number + 1, file_name=name, height=height, width=width))
        for person in people:
            ids = dict(id=len(annotations) + 1, image_id=number + 1, category_id=1)
            annotations.append(ids | person)
    skeleton = [[a + 1, b + 1] for a, b in LIMBS + TORSO]
    person = dict(id=1, name="person", keypoints=NAMES, skeleton=skeleton)
    content = dict(images=images, annotations=annotations, categories=[person])
    path = args.target / "annotations" / f"person_keypoints_{split}.json"
    path.write_text(json.dumps(content))


def draw(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, list[dict]]:
    """A image (H, W, 3) with one or two figures beside each other."""
    image = np.full((height, width, 3), rng.uniform(90, 200, 3))
    coarse = rng.uniform(-50, 50, (6, 8, 3))
    image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    count = rng.integers(1, 3)
    people = []
    for i in range(count):
        tall = height * rng.uniform(0.55, 0.95)
        middle = np.array([(i + rng.uniform(0.35, 0.65)) / count, 0.5])
        middle = middle * (width, height) + rng.normal(0, 0.05 * height, 2)
        keypoints = pose(rng) * tall + middle
        paint(image, keypoints, tall)
        hidden = np.zeros(len(NAMES), dtype=bool)
        if rng.random() < 0.3:
            top = middle[1] + tall * rng.uniform(-0.3, 0.3)
            low, high = (middle[0] - tall, top), (middle[0] + tall, top + 0.08 * tall)
            corners = [tuple(int(v) for v in corner) for corner in (low, high)]
            cv2.rectangle(image, *corners, rng.uniform(60, 200, 3).tolist(), -1)
            hidden = (keypoints[:, 1] > top) & (keypoints[:, 1] < high[1])
        people.append(annotate(keypoints, hidden, height, width))
    image += rng.normal(0, 6, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), [p for p in people if p]


def pose(rng: np.random.Generator) -> np.ndarray:
    """Keypoints (17, 2) of an upright figure of height 1 around (0, 0)."""
    keypoints = np.zeros((17, 2))
    keypoints[0] = (0, -0.40)
    # Facing us, the figure's left is the image's right.
    for left, x, y in ((1, 0.025, -0.43), (3, 0.06, -0.41), (5, 0.11, -0.28)):
        keypoints[left], keypoints[left + 1] = (x, y), (-x, y)
    keypoints[11], keypoints[12] = (0.07, 0.02), (-0.07, 0.02)
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
            keypoints[end + shift] = keypoints[start + shift] + step
    turn = rng.normal(0, 0.12)
    c, s = np.cos(turn), np.sin(turn)
    return keypoints @ np.array([[c, s], [-s, c]])


def paint(image: np.ndarray, keypoints: np.ndarray, tall: float) -> None:
    """Draw a figure into the image."""
    at = [tuple(int(v) for v in keypoint) for keypoint in keypoints]
    thick = max(2, round(tall / 28))
    for a, b in TORSO:
        cv2.line(image, at[a], at[b], MIDDLE, thick, cv2.LINE_AA)
    for a, b in LIMBS:
        cv2.line(image, at[a], at[b], LEFT if a % 2 else RIGHT, thick, cv2.LINE_AA)
    cv2.circle(image, at[0], int(0.075 * tall), (190, 210, 240), -1, cv2.LINE_AA)
    for k in range(17):
        colour = (60, 60, 200) if k == 0 else (LEFT if k % 2 else RIGHT)
        cv2.circle(image, at[k], max(1, thick // 2), colour, -1, cv2.LINE_AA)


def annotate(
    keypoints: np.ndarray, hidden: np.ndarray, height: int, width: int
) -> dict | None:
    """What COCO's file says of a figure; None if too little of it is in the image."""
    margin = 0.05 * np.ptp(keypoints[:, 1])
    low = (keypoints.min(0) - margin).clip(0)
    high = (keypoints.max(0) + margin).clip(max=(width, height))
    inside = ((keypoints >= 0) & (keypoints < (width, height))).all(1)
    if inside.sum() < 4:
        return None
    visibility = np.where(inside, np.where(hidden, 1, 2), 0)
    table = np.column_stack((np.floor(keypoints), visibility))  # pixel indices
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
