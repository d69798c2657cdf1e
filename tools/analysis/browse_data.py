#!/usr/bin/env python
"""Draw the training data as the model gets it, after all transforms.

tools/analysis/browse_data.py configs/keypoint_rcnn_r50.py --out pictures
tools/analysis/browse_data.py configs/mask_rcnn_r50_nl.py --out pictures --number 50

Boxes, masks, joints or labels are drawn as the config's visualizer draws the ground
truth. A picture's name says which image it is, and whether it was flipped.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import DictAction
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope

from nlse_mm.engine.config import load_config
from nlse_mm.engine.data_files import check_data_files
from nlse_mm.engine.seed_worker import seed_everything
from nlse_mm.engine.user_error import UserError, in_one_sentence


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="the config file")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures")
    parser.add_argument("--number", type=int, default=20, help="pictures (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the transforms (0)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        metavar="KEY=VALUE",
        help="replace settings of the config",
    )
    parser.set_defaults(launcher="none", work_dir=None, local_rank=0)
    return parser.parse_args()


def picture_name(sample: Any, number: int) -> str:
    stem = Path(sample.get("img_path") or str(sample.get("img_id", ""))).stem
    flipped = f"_{sample.get('flip_direction')}" if sample.get("flip") else ""
    return f"{number:04d}_{stem}{flipped}.png"


@in_one_sentence
def main() -> None:
    args = parse_arguments()
    if args.number < 1:
        raise UserError(f"--number {args.number} is not 1 or more")
    cfg = load_config(args)
    for key in ("train_dataloader", "visualizer"):
        if cfg.get(key) is None:
            raise UserError(f"{args.config} has no {key}, which browsing needs")
    check_data_files(cfg, "train")
    init_default_scope(cfg.get("default_scope") or "mmengine")
    seed_everything(args.seed)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    visualizer = VISUALIZERS.build(cfg.visualizer)
    visualizer.dataset_meta = dataset.metainfo
    for number in range(min(args.number, len(dataset))):
        item = dataset[number]
        image = item["inputs"].permute(1, 2, 0).numpy()[..., ::-1]  # RGB
        sample = item["data_samples"]
        if "bboxes" in sample.get("gt_instances", ()):
            boxes = sample.gt_instances.bboxes
            sample.gt_instances.bboxes = getattr(boxes, "tensor", boxes)
        name = picture_name(sample, number)
        visualizer.add_datasample(
            name,
            np.ascontiguousarray(image),
            sample,
            draw_pred=False,
            out_file=str(args.out / name),
        )
        print(args.out / name)


if __name__ == "__main__":
    main()
