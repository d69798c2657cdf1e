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
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from nlse_mm.errors import ConfigError
from nlse_mm.training.command_line import at_least, make_parser
from nlse_mm.training.user_error import in_one_sentence
from nlse_mm.validation.coco_json import read_coco

NOTHING = 255


def main(argv: list[str] | None = None) -> None:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("root", type=Path, help="COCO's folder, which holds annotations/")
    add("--out", type=Path, help="folder for the labels (ROOT/semantic)")
    add("--splits", nargs="+", default=["train2017", "val2017"], metavar="SPLIT")
    cores = os.cpu_count()
    add("--workers", type=at_least(1), default=cores, help="processes (all cores)")
    add("--verify", action="store_true", help="write nothing, compare everything")
    args = parser.parse_args(argv)
    wrong = [sentence for split in args.splits for sentence in convert(args, split)]
    if wrong:
        print(*wrong[:10], sep="\n", file=sys.stderr)
        raise ConfigError(f"{len(wrong)} images are wrong (the first 10 are above)")


def convert(args: argparse.Namespace, split: str) -> list[str]:
    """Make, or verify, a split's labels; return a sentence for each wrong image."""
    source = args.root / "annotations" / f"panoptic_{split}"
    target = (args.out or args.root / "semantic") / split
    file = f"{source}.json"
    content = read_coco(file, required=("annotations", "categories"))
    annotations, categories = content["annotations"], content["categories"]
    for name, key in (
        ("categories", "id"),
        ("annotations", "file_name"),
        ("annotations", "segments_info"),
    ):
        for i, entry in enumerate(content[name]):
            if key not in entry:
                raise ConfigError(f"{file}: {name}[{i}] has no {key}")
    indices = {category["id"]: i for i, category in enumerate(categories)}
    if len(indices) > NOTHING:
        raise ConfigError(
            f"{file} has {len(indices)} categories, and a byte has room for {NOTHING}"
        )
    made = set()
    if not args.verify:
        target.mkdir(parents=True, exist_ok=True)
        made = set(os.listdir(target))
    todo = [a for a in annotations if a["file_name"] not in made]
    one = partial(convert_image, source, target, indices, args.verify)
    with ProcessPoolExecutor(args.workers) as pool:
        results = pool.map(one, todo, chunksize=8)
        wrong = [s for s in track(results, split, total=len(todo)) if s]
    kept = "" if args.verify else f", {len(annotations) - len(todo)} kept"
    verb = "compared" if args.verify else "made"
    print(f"{target}: {len(todo) - len(wrong)} labels {verb}{kept}.")
    return wrong


def convert_image(
    source: Path, target: Path, indices: dict[int, int], verify: bool, annotation: dict
) -> str:
    """Make, or verify, the labels of one image; return what is wrong, '' if nothing."""
    name = annotation["file_name"]
    try:
        labels = semantic(source / name, annotation["segments_info"], indices)
        (compare if verify else write)(target / name, labels)
    except ConfigError as error:
        return f"{error}."
    return ""


def semantic(path: Path, segments: list[dict], indices: dict[int, int]) -> np.ndarray:
    """Return the labels (H, W) of a panoptic image, checked against its segments."""
    image = read_image(path, cv2.IMREAD_COLOR)
    ids, inverse, areas = np.unique(
        image @ np.array([65536, 256, 1]),  # (H, W, 3) in BGR -> (H, W)
        return_inverse=True,
        return_counts=True,
    )
    found = dict(zip(ids.tolist(), areas.tolist(), strict=True))
    found.pop(0, None)  # no segment
    listed = {segment["id"]: segment["area"] for segment in segments}
    if found != listed:
        differing = sorted(dict(found.items() ^ listed.items()))[0]
        raise ConfigError(
            f"{path}: segment {differing} has {found.get(differing, 0)} pixels, its "
            f"annotation says {listed.get(differing, 0)}"
        )
    categories = {segment["id"]: segment["category_id"] for segment in segments}
    if unknown := set(categories.values()) - indices.keys():
        raise ConfigError(f"{path}: no category has the id {min(unknown)}")
    label_of = {0: NOTHING} | {id_: indices[c] for id_, c in categories.items()}
    labels = np.array([label_of[id_] for id_ in ids.tolist()], np.uint8)
    return labels[inverse.reshape(image.shape[:2])]


def read_image(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise ConfigError(f"{path} is missing or can't be read as an image")
    return image


def write(path: Path, labels: np.ndarray) -> None:
    """Write in one step, so that a file that is there is whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(cv2.imencode(".png", labels)[1])
    os.replace(unfinished, path)


def compare(path: Path, labels: np.ndarray) -> None:
    """Raise ConfigError unless the file holds ``labels``."""
    written = read_image(path, cv2.IMREAD_UNCHANGED)
    if written.shape != labels.shape:
        raise ConfigError(f"{path} is {written.shape}, not {labels.shape}")
    if wrong := np.count_nonzero(written != labels):
        raise ConfigError(f"{path} has {wrong} wrong pixels")


if __name__ == "__main__":
    in_one_sentence(main)()
