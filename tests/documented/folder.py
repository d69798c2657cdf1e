"""A folder like a user's: a copy of the checkout, with a few pictures as its data."""

import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from .fences import ROOT

sys.path.insert(0, str(ROOT / "tools" / "data"))
import make_far_cue
import make_tiny_coco
import make_tiny_people
import panoptic_to_semantic

_SPLITS = ("train2017", "val2017")
# A cluster of this machine: as many processes as are asked for.
_SRUN = """#!/usr/bin/env bash
set -e
while [[ $1 == --* ]]; do
    if [[ $1 == --ntasks=* ]]; then export SLURM_NTASKS=${1#*=}; fi
    shift
done
export SLURM_NODELIST=here MASTER_PORT=29511
for ((i = 1; i < SLURM_NTASKS; i++)); do SLURM_PROCID=$i SLURM_LOCALID=$i "$@" & done
SLURM_PROCID=0 SLURM_LOCALID=0 "$@"
wait $!
"""
_COMMANDS = {"srun": _SRUN, "scontrol": "#!/bin/sh\necho 127.0.0.1\n"}
_BLOCK = {f"layer1.0.conv{i}.weight": torch.rand(1) for i in (1, 2, 3)}
# Published files, as far as the commands read them.
_DOWNLOADS = {
    "resnet50-0676ba61.pth": {"conv1.weight": torch.rand(64, 3, 7, 7)},
    "legacy_senet154-e9eb9fe6.pth": {"layer0.conv1.weight": torch.rand(1)} | _BLOCK,
}


class Template:
    """What the folders of all commands are copied from."""

    def __init__(self, home: Path):
        self.home = home
        self.checkout = home / "checkout"
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in ("configs", "docs", "nlse_mm", "tests", "tools"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=ignore)
        for name in (".ruff.toml", ".pytest.ini", "README.md", "setup.py"):
            shutil.copy(ROOT / name, self.checkout)
        make_data(self.checkout / "data")
        names = [*_BLOCK, "layer1.0.se.fc1.weight"]
        (self.checkout / "seresnet50.safetensors").write_bytes(safetensors(names))
        downloads = home / "hub" / "checkpoints"
        downloads.mkdir(parents=True)
        for name, weights in _DOWNLOADS.items():
            torch.save(weights, downloads / name)
        (home / "bin").mkdir()
        for name, text in _COMMANDS.items():
            (home / "bin" / name).write_text(text)
            (home / "bin" / name).chmod(0o755)

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment of a command in ``folder``: no GPU, no other settings."""
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
        environment = {key: os.environ[key] for key in kept if key in os.environ}
        here = (str(self.home / "bin"), str(Path(sys.executable).parent))
        return environment | dict(
            PATH=os.pathsep.join((*here, environment["PATH"])),
            PYTHONPATH=str(folder),
            VIRTUAL_ENV=sys.prefix,
            TORCH_HOME=str(self.home),
            CUDA_VISIBLE_DEVICES="",
            OMP_NUM_THREADS="1",
        )

    def checkpoint(self, config: str) -> Path:
        """A checkpoint of the config's model, with random weights."""
        path = self.home / "checkpoints" / f"{Path(config).stem}.pth"
        if not path.exists():
            cfg = Config.fromfile(ROOT / config)
            with DefaultScope.overwrite_default_scope(cfg.default_scope):
                weights = MODELS.build(cfg.model).state_dict()
            path.parent.mkdir(exist_ok=True)
            torch.save(dict(state_dict=weights), path)
        return path


def make_data(data: Path) -> None:
    """All data sets that the documents name, of a few pictures each."""
    few = ["--train", "8", "--val", "4"]
    make_tiny_coco.main([str(data / "tiny_coco"), *few])
    make_tiny_people.main([str(data / "tiny_people"), *few])
    make_far_cue.main([str(data / "far_cue"), *few])
    make_far_cue.main([str(data / "far_cue_large"), *few, "--cue", "large"])
    make_coco(data / "coco", data / "tiny_coco", data / "tiny_people")


def make_coco(coco: Path, tiny: Path, people: Path) -> None:
    """COCO's layout, names and labels, with the pictures of the drawn data sets."""
    from mmdet.datasets import CocoDataset, CocoPanopticDataset

    annotations = coco / "annotations"
    annotations.mkdir(parents=True)
    things = CocoDataset.METAINFO["classes"]
    regions = CocoPanopticDataset.METAINFO["classes"]
    for split in _SPLITS:
        shutil.copytree(tiny / split, coco / split)
        instances = read(tiny, f"instances_{split}")
        instances["categories"] = categories(things)
        for annotation in instances["annotations"]:
            name = ("person", "dog")[annotation["category_id"] % 2]
            annotation["category_id"] = 1 + things.index(name)
        write(coco, f"instances_{split}", instances)
        joints = read(people, f"person_keypoints_{split}")
        for image in joints["images"]:
            source = people / split / image["file_name"]
            image["file_name"] = f"people_{image['file_name']}"
            shutil.copy(source, coco / split / image["file_name"])
        write(coco, f"person_keypoints_{split}", joints)
        (annotations / f"panoptic_{split}").mkdir()
        segments = [
            panoptic(path, annotations / f"panoptic_{split}")
            for path in sorted((tiny / "semantic" / split).iterdir())
        ]
        content = dict(annotations=segments, categories=categories(regions))
        write(coco, f"panoptic_{split}", content)
    panoptic_to_semantic.main([str(coco), "--workers", "1"])


def categories(names) -> list[dict]:
    return [dict(id=number, name=name) for number, name in enumerate(names, 1)]


def panoptic(labels: Path, target: Path) -> dict:
    """Write semantic labels as one segment for each class; return its annotation."""
    ids = 1 + cv2.imread(str(labels), cv2.IMREAD_UNCHANGED)  # uint8
    nothing = np.zeros_like(ids)
    cv2.imwrite(str(target / labels.name), np.stack([nothing, nothing, ids], axis=2))
    found = zip(*np.unique(ids, return_counts=True), strict=True)
    segments = [dict(id=int(i), category_id=int(i), area=int(n)) for i, n in found]
    return dict(file_name=labels.name, segments_info=segments)


def safetensors(names: list[str]) -> bytes:
    """A file of that format, with one number for each name."""
    table = {
        name: dict(dtype="F32", shape=[1], data_offsets=[4 * i, 4 * i + 4])
        for i, name in enumerate(names)
    }
    header = json.dumps(table).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4 * len(names))


def read(root: Path, name: str) -> dict:
    return json.loads((root / "annotations" / f"{name}.json").read_text())


def write(root: Path, name: str, content: dict) -> None:
    (root / "annotations" / f"{name}.json").write_text(json.dumps(content))
