#!/usr/bin/env python
"""Draw the training data as the model gets it, after all transforms.

tools/analysis/browse_data.py configs/keypoint_rcnn_r50.py --out drawn
tools/analysis/browse_data.py configs/mask_rcnn_r50_nl.py --out drawn --number 50

Boxes, masks, keypoints or labels are drawn as the config's visualizer draws the ground
truth. A file's name says which image it is, and whether it was flipped.
"""

from pathlib import Path

import numpy as np
from arguments import add_cfg_options, add_output, make_parser
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.structures import BaseDataElement

from nlse_mm.errors import ConfigError
from nlse_mm.training.config import load_config
from nlse_mm.training.data_files import check_data_files
from nlse_mm.training.seed_worker import seed_everything
from nlse_mm.training.user_error import in_one_sentence


def name_of(sample: BaseDataElement, number: int) -> str:
    """Return the file name of a sample's image."""
    stem = Path(sample.get("img_path") or str(sample.get("img_id", ""))).stem
    flipped = f"_{sample.get('flip_direction')}" if sample.get("flip") else ""
    return f"{number:04d}_{stem}{flipped}.png"


@in_one_sentence
def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("config", help="the config file")
    add_output(parser, is_folder=True, required=True, help="folder for the images")
    parser.add_argument("--number", type=int, default=20, help="images (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the transforms (0)")
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.number < 1:
        raise ConfigError(f"--number {args.number} is not 1 or more")
    cfg = load_config(args, "browsing", ("train_dataloader", "visualizer"))
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
        path = args.output / name_of(sample, number)
        image = np.ascontiguousarray(image)
        visualizer.add_datasample(
            path.name, image, sample, draw_pred=False, out_file=str(path)
        )
        print(path)


if __name__ == "__main__":
    main()
