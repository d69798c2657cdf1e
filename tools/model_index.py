#!/usr/bin/env python
"""Write the index of the configs that MIM and MMEngine read, as a wheel has it.

    tools/model_index.py FOLDER

FOLDER gets model-index.yml and configs/metafile.yml. What a config is follows from its
name. There are no results: none has been trained on the whole of its data yet.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The first whose pattern is in a config's name: its architecture and paper.
COLLECTIONS = {
    "Non-local": (
        r"_nl|^(tiny/)?nlhead",
        "Non-local block",
        "Non-local Neural Networks",
        "1711.07971",
    ),
    "GCNet": (
        r"_gc",
        "Global context block",
        "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond",
        "1904.11492",
    ),
    "Self-attention": (
        r"_sa|^(tiny/)?sa6",
        "Relative self-attention",
        "On the Relationship between Self-Attention and Convolutional Layers",
        "1911.03584",
    ),
    "SENet": (
        r"_se|^(tiny/)?(legacy-)?se",
        "Squeeze and excitation",
        "Squeeze-and-Excitation Networks",
        "1709.01507",
    ),
}
DATA = {
    r"_imagenet$": "ImageNet",
    r"^tiny/far_cue": "drawn squares",
    r"^tiny/.*_digits": "scikit-learn's digits",
    r"^tiny/": "drawn shapes",
    r"_coco-stuff$": "COCO-Stuff 164k",
    r"_coco-panoptic$": "COCO panoptic",
    r"_cityscapes$": "Cityscapes",
    r"_ade20k$": "ADE20K",
    r"_kinetics400$": "Kinetics-400",
    r"_cifar10$": "CIFAR-10",
    r"": "COCO",
}


def main(folder: Path) -> None:
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    metafile = dict(Collections=list(collections()), Models=list(models()))
    # JSON is YAML, and a build has no YAML writer.
    text = json.dumps(metafile, indent=2)
    (folder / "configs" / "metafile.yml").write_text(f"{text}\n")
    (folder / "model-index.yml").write_text("Import:\n  - configs/metafile.yml\n")


def collections() -> Iterator[dict[str, object]]:
    for name, (_, architecture, title, number) in COLLECTIONS.items():
        yield dict(
            Name=name,
            Metadata=dict(Architecture=[architecture]),
            Paper=dict(Title=title, URL=f"https://arxiv.org/abs/{number}"),
            README="configs/README.md",
        )
    yield dict(Name="Baselines", README="configs/README.md")


def models() -> Iterator[dict[str, object]]:
    for path in sorted((ROOT / "configs").rglob("*.py")):
        name = path.relative_to(ROOT / "configs").with_suffix("").as_posix()
        if name.startswith("_base_"):
            continue
        found = (c for c, (word, *_) in COLLECTIONS.items() if re.search(word, name))
        data = next(data for word, data in DATA.items() if re.search(word, name))
        yield {
            "Name": name.replace("/", "_"),
            "In Collection": next(found, "Baselines"),
            "Config": f"configs/{name}.py",
            "Metadata": {"Training Data": data},
        }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
