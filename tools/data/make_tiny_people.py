#!/usr/bin/env python
"""Make a small person_keypoints data set of stick figures, the same for the same seed.

    tools/data/make_tiny_people.py data/tiny_people
    tools/data/make_tiny_people.py data/more_people --train 2000 --val 200

COCO's layout and COCO's 17 keypoints. Left limbs are blue and right ones orange, for a
figure that faces us. A bar in front of some figures hides keypoints (visibility 1), and
keypoints outside the image are not labelled (0).
"""

import cv2
import numpy as np
from coco_writer import DataSet, Drawn
from maker_arguments import parse

from nlse_mm.training.command_line import at_least
from nlse_mm.training.user_error import in_one_sentence

SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ["nose", *(f"{side}_{j}" for j in SIDED for side in ("left", "right"))]
# Indices into NAMES; even ones are right keypoints, odd ones left, 0 is the nose.
LEFT_LIMBS = ((5, 7), (7, 9), (11, 13), (13, 15))
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
TORSO = ((5, 6), (5, 11), (6, 12), (11, 12))
LEFT, RIGHT, MIDDLE = (255, 120, 0), (0, 120, 255), (40, 190, 40)  # BGR


def main(argv: list[str] | None = None) -> None:
    size = dict(type=at_least(96), nargs=2, default=[160, 192], metavar=("H", "W"))
    args = parse(__doc__, argv, train=800, val=100, size=size)
    skeleton = [[a + 1, b + 1] for a, b in LIMBS + TORSO]
    person = dict(id=1, name="person", keypoints=NAMES, skeleton=skeleton)

    def draw_one(rng: np.random.Generator, number: int) -> Drawn:
        return draw(rng, *args.size)

    files = dict(kind="person_keypoints", ids_go_on=False)
    DataSet("tiny_people", "1.0", [person], draw_one, **files).make(args)


def draw(rng: np.random.Generator, height: int, width: int) -> Drawn:
    """Draw an image with one or two figures beside each other."""
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
            bottom = top + 0.08 * tall
            corners = (middle[0] - tall, top), (middle[0] + tall, bottom)
            colour = rng.uniform(60, 200, 3).tolist()
            cv2.rectangle(image, *np.int32(corners).tolist(), colour, -1)
            hidden = (keypoints[:, 1] > top) & (keypoints[:, 1] < bottom)
        people.append(annotate(keypoints, hidden, height, width))
    image += rng.normal(0, 6, image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    return Drawn(image, [person for person in people if person])


def pose(rng: np.random.Generator) -> np.ndarray:
    """Return keypoints (17, 2) of an upright figure of height 1 around (0, 0)."""
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
        lengths = ((arm, 0.16), (fore, 0.15), (leg, 0.23), (shin, 0.22))
        for (start, end), (angle, length) in zip(LEFT_LIMBS, lengths, strict=True):
            step = length * np.array([side * np.sin(angle), np.cos(angle)])
            keypoints[end + shift] = keypoints[start + shift] + step
    turn = rng.normal(0, 0.12)
    c, s = np.cos(turn), np.sin(turn)
    return keypoints @ np.array([[c, s], [-s, c]])


def paint(image: np.ndarray, keypoints: np.ndarray, tall: float) -> None:
    """Draw a figure into the image."""
    at = keypoints.astype(int).tolist()
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
    """Return COCO's annotation of a figure; None if too little is in the image."""
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
        category_id=1,
        bbox=[*low.tolist(), w, h],
        area=0.5 * w * h,
        iscrowd=0,
        keypoints=table.astype(int).flatten().tolist(),
        num_keypoints=int(inside.sum()),
    )


if __name__ == "__main__":
    in_one_sentence(main)()
