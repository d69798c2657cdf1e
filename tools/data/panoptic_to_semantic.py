"""Make semantic labels from COCO's panoptic ones.

    python tools/data/panoptic_to_semantic.py data/coco
    python tools/data/panoptic_to_semantic.py data/coco --verify

Reads annotations/panoptic_{split}.json and annotations/panoptic_{split}/*.png, writes
semantic/{split}/*.png: a byte a pixel, the index of the category in the json's list (0
to 132), 255 where there is none. Each image's segments are checked against the json:
their ids and their areas. Started again, it goes on where it was stopped. --verify
makes all the labels again and compares them with the files.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

NOTHING = 255


class BadImageError(Exception):
    """What is wrong with one image, in a sentence."""


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    wrong = []
    for split in args.splits:
        wrong += convert(args.root, args.out or args.root / "semantic", split, args)
    if wrong:
        for sentence in wrong[:10]:
            print(sentence, file=sys.stderr)
        sys.exit(f"panoptic_to_semantic: {len(wrong)} images are wrong (the first 10)")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("root", type=Path, help="COCO's folder, which holds annotations/")
    add("--out", type=Path, help="folder for the labels (ROOT/semantic)")
    add("--splits", nargs="+", default=["train2017", "val2017"], metavar="SPLIT")
    add("--workers", type=int, default=os.cpu_count(), help="processes (all cores)")
    add("--verify", action="store_true", help="write nothing, compare everything")
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error(f"--workers {args.workers} is not 1 or more.")
    return args


def convert(root: Path, out: Path, split: str, args: argparse.Namespace) -> list[str]:
    """Make, or verify, the labels of one split; a sentence for each wrong image."""
    source = root / "annotations" / f"panoptic_{split}"
    try:
        panoptic = json.loads(source.with_suffix(".json").read_text())
        annotations, categories = panoptic["annotations"], panoptic["categories"]
        indices = {category["id"]: i for i, category in enumerate(categories)}
    except OSError as error:
        sys.exit(f"panoptic_to_semantic: {error.filename} can't be read: {error}.")
    except (ValueError, KeyError, TypeError) as error:
        sys.exit(f"panoptic_to_semantic: {source}.json isn't panoptic COCO: {error!r}.")
    if len(indices) > NOTHING:
        sys.exit(
            f"panoptic_to_semantic: {source}.json has {len(indices)} categories, and a "
            f"byte has room for {NOTHING}."
        )
    target = out / split
    step = verify if args.verify else write
    if not args.verify:
        target.mkdir(parents=True, exist_ok=True)
        made = set(os.listdir(target))
        annotations = [a for a in annotations if a["file_name"] not in made]
    one = partial(attempt, step, source, target, indices)
    with ProcessPoolExecutor(args.workers) as pool:
        results = pool.map(one, annotations, chunksize=8)
        sentences = list(track(results, split, total=len(annotations)))
    wrong = [sentence for sentence in sentences if sentence]
    verb = "compared" if args.verify else "made"
    kept = (
        "" if args.verify else f", {len(panoptic['annotations']) - len(sentences)} kept"
    )
    print(f"{target}: {len(sentences) - len(wrong)} labels {verb}{kept}.")
    return wrong


def attempt(step, source: Path, target: Path, indices: dict, annotation: dict) -> str:
    """What went wrong with one image, empty if nothing."""
    name = annotation["file_name"]
    try:
        step(target / name, semantic(source / name, annotation, indices))
    except BadImageError as error:
        return str(error)
    return ""


def semantic(path: Path, annotation: dict, indices: dict[int, int]) -> np.ndarray:
    """The labels (H, W) of one panoptic image, checked against its annotation."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise BadImageError(f"{path} is missing or can't be read as an image.")
    blue, green, red = np.moveaxis(image.astype(np.int32), 2, 0)
    ids, inverse, areas = np.unique(
        red + 256 * green + 65536 * blue, return_inverse=True, return_counts=True
    )
    found = dict(zip(ids.tolist(), areas.tolist(), strict=True))
    found.pop(0, None)  # no segment
    segments = {s["id"]: s for s in annotation["segments_info"]}
    listed = {id_: s["area"] for id_, s in segments.items()}
    if found != listed:
        differing = sorted(dict(found.items() ^ listed.items()))[0]
        raise BadImageError(
            f"{path}: segment {differing} has {found.get(differing, 0)} pixels, its "
            f"annotation says {listed.get(differing, 0)}."
        )
    unknown = {s["category_id"] for s in segments.values()} - indices.keys()
    if unknown:
        raise BadImageError(f"{path}: no category has the id {min(unknown)}.")
    labels = [
        indices[segments[id_]["category_id"]] if id_ else NOTHING
        for id_ in ids.tolist()
    ]
    return np.array(labels, np.uint8)[inverse.reshape(image.shape[:2])]


def write(path: Path, labels: np.ndarray) -> None:
    """Write in one step, so that a file that is there is whole."""
    _, png = cv2.imencode(".png", labels)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(png)
    os.replace(unfinished, path)


def verify(path: Path, labels: np.ndarray) -> None:
    """Compare with the file."""
    written = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if written is None:
        raise BadImageError(f"{path} is missing or can't be read as an image.")
    if written.shape != labels.shape:
        raise BadImageError(f"{path} is {written.shape}, not {labels.shape}.")
    wrong = np.count_nonzero(written != labels)
    if wrong:
        raise BadImageError(f"{path} has {wrong} wrong pixels.")


if __name__ == "__main__":
    main()
