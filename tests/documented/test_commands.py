"""Every command of README and docs is run for real, as commands.txt has it."""

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fences import ROOT, commands
from mmengine.registry import DATASETS, MODELS, DefaultScope

from nlse_mm.config_file import read_config
from nlse_mm.toolbox import installed, why_broken

LINES = (Path(__file__).parent / "commands.txt").read_text().splitlines()
LISTED = dict(line.split(" => ") for line in LINES if " => " in line)
BEFORE = "\n".join(line for line in LINES if " => " not in line)
DOCUMENTED = dict.fromkeys(" ".join(words) for _, words in commands())
FOUND = {c: [key for key in LISTED if fnmatchcase(c, key)] for c in DOCUMENTED}
SMALL = {c: LISTED[keys[0]] for c, keys in FOUND.items() if keys}
# Commands that are one and the same when small run once.
RUN = {s if "COMMAND" not in s else c: c for c, s in SMALL.items() if s[:4] != "not "}
COPIED = "configs docs nlse_mm tests tools README.md .mypy.ini .ruff.toml .pytest.ini"
FAR_CUES = ("far_cue", "far_cue_large --cue large", "far_cue_video")
DATA = ("tiny_coco", "tiny_people", *FAR_CUES)
CLASSES = {"instances": "CocoDataset", "panoptic": "CocoPanopticDataset"}


def test_each_documented_command_has_one_line_and_each_line_a_command():
    assert not {c: keys for c, keys in FOUND.items() if len(keys) != 1}
    assert {key for keys in FOUND.values() for key in keys} == set(LISTED)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of ours, small data, and the weights that R50 starts from."""
    home = tmp_path_factory.mktemp("documented")
    subprocess.run(["cp", "-r", *COPIED.split(), home], cwd=ROOT, check=True)
    (home / "tools/install.sh").write_text("exit 0\n")
    for name in DATA:
        tool = f"tools/data/make_{name.split('_large')[0]}.py"
        words = f"{tool} data/{name} --train 8 --val 4".split()
        subprocess.run([sys.executable, *words], cwd=home, check=True)
    make_coco(home / "data/coco", home / "data/tiny_people")
    (home / "hub/checkpoints").mkdir(parents=True)
    weights = {"conv1.weight": torch.rand(64, 3, 7, 7)}
    torch.save(weights, home / "hub/checkpoints/resnet50-0676ba61.pth")
    return home


def make_coco(coco, people):
    """COCO's files for images of people, each of which is one panoptic region."""
    shutil.copytree(people, coco)
    for path in coco.glob("annotations/*"):
        content = json.loads(path.read_text())
        for figure in content["annotations"]:
            x, y, w, h = figure["bbox"]
            figure["segmentation"] = [[x, y, x + w, y, x + w, y + h]]
        for kind, dataset in CLASSES.items():
            target = path.with_name(path.name.replace("person_keypoints", kind))
            names = DATASETS.get(f"mmdet.{dataset}").METAINFO["classes"]
            content["categories"] = [dict(id=i, name=n) for i, n in enumerate(names, 1)]
            if kind == "panoptic":
                content["annotations"] = list(regions(content["images"], target))
            target.write_text(json.dumps(content))


def regions(images, folder):
    folder.with_suffix("").mkdir()
    for image in images:
        name = image["file_name"].replace("jpg", "png")
        cv2.imwrite(str(folder.with_suffix("") / name), np.ones((160, 192, 3)))
        segment = dict(id=0x10101, category_id=1, area=160 * 192)
        yield dict(file_name=name, segments_info=[segment])


def why_no_mmpretrain():
    if not installed("mmpretrain"):
        return "mmpretrain is not installed"
    return why_broken("mmpretrain", "MODELS", "DATASETS")


@pytest.mark.documented
@pytest.mark.parametrize("command", RUN.values(), ids=lambda command: command[:99])
def test_it_runs(command, checkout, tmp_path, monkeypatch):
    if "_digits" in command:
        pytest.importorskip("sklearn")
    if re.search("_imagenet|(sa6|18)_digits", command) and (why := why_no_mmpretrain()):
        pytest.skip(why)
    folder = shutil.copytree(checkout, tmp_path / "nlse_mm", copy_function=os.link)
    monkeypatch.chdir(folder)
    small = f"COMMAND='{command}' PATH={sys.prefix}/bin:$PATH\n{SMALL[command]}"
    if "c2d" in small or "far_cue.sh video" in small:
        pytest.importorskip("mmaction")
    for path in re.findall(r"work_dirs/[\w/]+\.pth", small):
        cfg = read_config(re.search(r"configs/[\w/-]+\.py", small)[0])
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            weights = MODELS.build(cfg.model).state_dict()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state_dict=weights), path)
    Path("small.sh").write_text(f"{BEFORE}\n{small}")
    code, output = subprocess.getstatusoutput("timeout 600 bash small.sh </dev/null")
    shutil.rmtree(folder)  # a checkpoint of R50 has 350 MB
    assert code == 0, f"{small}\nended with {code}:\n{output[-3000:]}"
