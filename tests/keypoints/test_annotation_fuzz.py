"""2,000 seeded mutations of a small file: right training data, or one sentence."""

import copy
import json
import math
import random
import time

import numpy as np
import pytest
from mmengine.registry import DATASETS, METRICS
from small_keypoint_file import META, NAMES, keypoints, small

from nlse_mm.keypoints.annotation_file import read_keypoints
from nlse_mm.training.user_error import user_error

pytestmark = pytest.mark.usefixtures("in_mmdet")
NAN = float("nan")
# Where a value isn't wanted; 10**400 and "٣" are a whole number and a digit to Python.
VALUES = (
    *(None, True, False, "", "x", "1e5", "nan", "٣", [], {}, [[]], [None], {"a": 1}),
    *(0, -1, 1, 2, 3, 0.5, -0.0, 1e6, 1e12, 1e39, 1e300, 10**400, 2**63, -(10**20)),
    *(NAN, float("inf"), -float("inf")),
)
MUTATIONS = 2000


def nodes(node, path=()):
    """Paths to everything below a node."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        yield (*path, key)
        if isinstance(child, (dict, list)):
            yield from nodes(child, (*path, key))


def mutated(seed):
    """The content with one to three changes, and the paths that were changed."""
    rng = random.Random(seed)
    content, changed = small(), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        paths = list(nodes(content))
        # As many of the top levels as of the many numbers.
        depth = rng.randint(1, max(map(len, paths)))
        path = rng.choice([p for p in paths if len(p) == depth] or paths)
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        value = parent[path[-1]]
        kind = rng.choice(("drop", "value", "value", "value", "text", "sign", "twice"))
        if kind == "drop":
            del parent[path[-1]]
        elif kind == "text":
            parent[path[-1]] = str(value)
        elif kind == "sign" and isinstance(value, (int, float)):
            parent[path[-1]] = -value
        elif kind == "twice" and isinstance(parent, list):
            parent.append(copy.deepcopy(value))
        else:
            parent[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        changed.append(path)
    return content, changed


def garbled(seed):
    """The file's bytes: of a mutated content, every tenth spoilt as bytes."""
    rng = random.Random(-seed - 1)
    content, changed = mutated(seed)
    data = json.dumps(content).encode()
    if seed % 10:
        return data, changed
    place = rng.randrange(len(data))
    kind = rng.choice(("cut", "bits", "insert", "mark", "tail"))
    if kind == "cut":
        data = data[:place]
    elif kind == "bits":
        data = (
            data[:place]
            + bytes([data[place] ^ 1 << rng.randrange(8)])
            + data[place + 1 :]
        )
    elif kind == "insert":
        data = data[:place] + rng.choice((b"[", b'"', b"\0", b"\xff")) + data[place:]
    elif kind == "mark":
        data = b"\xef\xbb\xbf" + data
    else:
        data += rng.choice((b"}", b"\n", b"{}"))
    return data, None


def number(value):
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def check_annotation(got):
    """What must be true of any annotation that is used."""
    x, y, w, h = got["bbox"]
    numbers = [*got["bbox"], got["area"], *got["keypoints"]]
    assert all(type(v) in (int, float) and math.isfinite(v) for v in numbers)
    assert w >= 0 <= h
    assert -1300 <= x <= x + w <= 1400
    assert -1300 <= y <= y + h <= 1400
    assert 0 <= got["area"] <= 1.02 * max(w * h, 1 << 40)
    triples = np.reshape(got["keypoints"], (17, 3))
    assert set(triples[:, 2]) <= {0, 1, 2}
    assert (triples[triples[:, 2] == 0] == 0).all()
    assert (np.abs(triples) < 1400).all()
    assert got["num_keypoints"] == (triples[:, 2] > 0).sum()
    assert got["iscrowd"] in (0, 1)


def check_truth(got, raw, expected):
    """Each value is the small file's, or what the mutated one says."""
    sources = ("bbox", "segmentation", "keypoints")
    for key in ("bbox", "area"):
        given = raw.get(key)
        is_list = isinstance(given, list)
        given = [number(v) for v in given] if is_list else number(given)
        # Absent, and so computed; a text of it isn't absent.
        if given in (None, [], 0) or (not is_list and not math.isfinite(given)):
            if all(raw.get(k) == expected.get(k) for k in sources if k != key):
                assert got[key] == expected[key]
        else:
            assert got[key] == given
    flat = raw.get("keypoints")
    if isinstance(flat, list) and len(flat) == 51:
        for k in range(17):
            ours, theirs = got["keypoints"][3 * k : 3 * k + 3], flat[3 * k : 3 * k + 3]
            visible = (
                number(float(theirs[2])) if theirs[2] is True else number(theirs[2])
            )
            place = [number(v) for v in theirs[:2]]
            is_labelled = (visible or 0) > 0
            assert ours[:2] == (place if is_labelled else [0, 0])
            assert (ours[2] > 0) == is_labelled
            assert visible not in (0, 1, 2) or ours[2] == visible


def attempt(call, path):
    """What it returns and None, or None and the exception."""
    try:
        return call(path), None
    except Exception as error:
        return None, error


def read(path):
    return read_keypoints(str(path), ["person"], NAMES)


def check_sentence(error, path, changed):
    said = user_error(error)
    assert said is not None, repr(error)
    assert said.startswith(str(path))
    assert len(said) < 1000
    if changed is not None:
        keys = {key for path in changed for key in path if isinstance(key, str)}
        assert any(key in said for key in keys), (said, changed)


def test_each_mutation_gives_right_data_or_one_sentence(tmp_path):
    path = tmp_path / "a.json"
    counts = dict(read=0, refused=0)
    start = time.monotonic()
    for seed in range(MUTATIONS):
        data, changed = garbled(seed)
        path.write_bytes(data)
        found, error = attempt(read, path)
        counts["read" if error is None else "refused"] += 1
        if error is not None:
            check_sentence(error, path, changed)
            continue
        ids = [a["id"] for a in found["annotations"]]
        assert len(set(ids)) == len(ids), seed
        images = {image["id"] for image in found["images"]}
        for got in found["annotations"]:
            check_annotation(got)
            assert got["image_id"] in images
        if changed is None:
            continue
        raws = json.loads(data)["annotations"]
        if len(raws) == len(found["annotations"]) == 2:
            truth = small()["annotations"]
            for got, raw, expected in zip(
                found["annotations"], raws, truth, strict=True
            ):
                check_truth(got, raw, expected)
    # Both ends are common: neither everything is refused, nor is everything taken.
    assert min(counts.values()) > MUTATIONS / 5, counts
    assert time.monotonic() - start < 60


def test_mutations_go_through_data_set_and_metric(tmp_path):
    path = tmp_path / "a.json"
    taken = 0
    for seed in range(0, MUTATIONS, 8):
        path.write_bytes(garbled(seed)[0])
        both = [attempt(call, path) for call in (training_data, evaluated)]
        errors = [error for _, error in both if error is not None]
        assert all(map(user_error, errors)), (seed, errors)
        if errors:
            continue
        taken += 1
        (infos, _), (values, _) = both
        for info in infos:
            for instance in info["instances"]:
                box = np.array(instance["bbox"])
                assert np.isfinite(box).all()
                assert (box[2:] - box[:2] >= 1).all()
                assert instance["keypoints"].shape == (17, 3)
                assert np.isfinite(instance["keypoints"]).all()
        assert all(v == -1 or 0 <= v <= 1 for v in values.values()), (seed, values)
    assert taken > MUTATIONS / 8 / 5


def training_data(path):
    config = dict(
        type="nlse_mm.CocoKeypointDataset",
        ann_file=str(path),
        data_prefix=dict(img=""),
        serialize_data=False,
        filter_cfg=dict(filter_empty_gt=True, min_keypoints=1),
        pipeline=[],
    )
    return DATASETS.build(config).data_list


def evaluated(path):
    config = dict(type="nlse_mm.CocoKeypointMetric", ann_file=str(path))
    metric = METRICS.build(dict(config, metric=["bbox", "keypoints"]))
    metric.dataset_meta = META
    places = np.reshape(keypoints(nose=(50, 40, 2), left_eye=(60, 50, 1)), (1, 17, 3))
    results = [
        dict(
            img_id=i,
            bboxes=np.array([[30.0, 30, 70, 80]]),
            scores=np.ones(1),
            labels=np.zeros(1, int),
            keypoints=places[..., :2] + 0.5,
            keypoint_scores=np.ones((1, 17)),
        )
        for i in (1, 2)
    ]
    return metric.compute_metrics(results)
