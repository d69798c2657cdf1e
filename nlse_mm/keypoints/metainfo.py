"""Check what describes keypoints: names, flip pairs, skeleton, sigmas."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, cast

import numpy as np

from nlse_mm.errors import ConfigError

from .sides import other_side, side_of

KEYS = ("keypoints", "flip_pairs", "skeleton", "sigmas")
SIDES = ("left", "right")
_UNKNOWN = "flip_pairs=None: unknown, and a flip is refused"

_SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")

# The names, the order and the skeleton of person_keypoints_*.json; the sigmas of
# pycocotools, measured on redundantly annotated images.
COCO_PERSON = dict(
    keypoints=("nose", *(f"{side}_{j}" for j in _SIDED for side in ("left", "right"))),
    flip_pairs=tuple((f"left_{j}", f"right_{j}") for j in _SIDED),
    skeleton=(
        ("left_ankle", "left_knee"),
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
        *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
)


def check_metainfo(metainfo: Mapping[str, Any]) -> None:
    """Check the keypoints' names, flip pairs, skeleton and sigmas against each other.

    Args:
        metainfo: ``keypoints`` (names); ``flip_pairs`` (pairs of names; None when they
            are unknown, and then nothing may be flipped); ``skeleton`` (pairs of
            names); ``sigmas`` (one above 0 for each keypoint, the k_i / 2 of COCO's
            OKS).

    Raises:
        ConfigError: Naming the key that doesn't fit, and how.
    """
    classes = metainfo.get("classes")
    if isinstance(classes, str):
        raise ConfigError(
            f"metainfo classes={classes!r} is one string, not a list of names: write "
            f"({classes!r},), with a comma, for one class"
        )
    names = metainfo.get("keypoints")
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"metainfo keypoints={names} is not a list of distinct names")
    for key in ("flip_pairs", "skeleton"):
        for pair in metainfo.get(key) or ():
            if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(names):
                raise ConfigError(
                    f"metainfo {key} has {tuple(pair)}, which is not two of the "
                    f"keypoints {tuple(names)}"
                )
    sigmas = metainfo.get("sigmas")
    spreads = list(sigmas) if np.iterable(sigmas) else []
    reals = [cast(float, s) for s in spreads if isinstance(s, Real)]  # NumPy's, too
    usable = [s for s in reals if 0 < s < float("inf")]
    if not len(names) == len(spreads) == len(usable):
        raise ConfigError(
            f"metainfo sigmas={sigmas} is not {len(names)} numbers above 0, one for "
            "each of the keypoints"
        )
    if metainfo.get("flip_pairs") is not None:
        _check_sides(names, metainfo["flip_pairs"])


def _check_sides(names: Sequence[str], pairs: Sequence[Sequence[str]]) -> None:
    paired = [name for pair in pairs for name in pair]
    twice = {name for name in paired if paired.count(name) > 1}
    if twice:
        raise ConfigError(f"metainfo flip_pairs names {sorted(twice)} more than once")
    others = {name: other_side(name, names) for name in names}
    for a, b in pairs:
        is_wrong = others[a] not in (None, b) or others[b] not in (None, a)
        if is_wrong or any(_says(a, side) and _says(b, side) for side in SIDES):
            partner = next((n for n in (others[a], others[b]) if n), None)
            hint = f": {partner!r} is the other side of one" if partner else ""
            raise ConfigError(
                f"metainfo flip_pairs has ({a!r}, {b!r}), which are not left and right "
                f"of the same{hint}"
            )
    for name, other in others.items():
        if other is not None and {name, other} - set(paired):
            pair = (name, other) if side_of(name) != "right" else (other, name)
            raise ConfigError(f"metainfo flip_pairs has no pair {pair} ({_UNKNOWN})")
    alone = [name for name in names if name not in paired]
    left, right = ([n for n in alone if _says(n, side)] for side in SIDES)
    if left and right:
        raise ConfigError(
            f"metainfo flip_pairs says nothing of {', '.join(map(repr, left + right))}"
            f": which is whose other side? ({_UNKNOWN})"
        )


def _says(name: str, side: str) -> bool:
    """Say whether a name has the word itself: L1 may be a line."""
    return side in name.lower() and side_of(name) == side


def flip_indices(metainfo: Mapping[str, Any]) -> np.ndarray | None:
    """Return for each keypoint its mirror image's index, (K,); None when unknown."""
    if metainfo.get("flip_pairs") is None:
        return None
    names = list(metainfo["keypoints"])
    partner = {a: b for pair in metainfo["flip_pairs"] for a, b in (pair, pair[::-1])}
    return np.array([names.index(partner.get(name, name)) for name in names])
