#!/usr/bin/env python
"""Draw the training data as the model gets it, after all transforms.

tools/analysis/browse_data.py configs/keypoint_rcnn_r50.py --out drawn
tools/analysis/browse_data.py configs/mask_rcnn_r50_nl.py --out drawn --number 50

Boxes, masks, keypoints or labels are drawn as the config's visualizer draws the ground
truth. A classifier's image has its class above it. Of a clip the frames stand side by
side, those of several clips after each other, with its class. A file's name says which
image or video it is, and whether it was flipped.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arguments import add_cfg_options, add_output, make_parser, save_figure
from clip_figure import draw_frames
from clips import frames_of, keep_meta
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import CLASSIFICATION, VIDEO
from nlse_mm.training.config import load_config
from nlse_mm.training.data_files import check_data_files
from nlse_mm.training.seed_worker import seed_everything
from nlse_mm.training.user_error import in_one_sentence


def name_of(sample: BaseDataElement, number: int) -> str:
    """Return the file name of a sample's image."""
    path = sample.get("img_path") or sample.get("filename")
    stem = Path(path or str(sample.get("img_id", ""))).stem
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
    cfg = load_config(args, "browsing", ("train_dataloader",))
    is_video = cfg.get("default_scope") == VIDEO.scope
    # MMPretrain's visualizer draws on a file's image, not on what the model gets.
    has_class = is_video or cfg.get("default_scope") == CLASSIFICATION.scope
    if cfg.get("visualizer") is None and not has_class:
        raise ConfigError(f"{args.config} has no visualizer, which browsing needs")
    check_data_files(cfg, "train")
    init_default_scope(cfg.get("default_scope") or "mmengine")
    seed_everything(args.seed)
    if is_video:
        keep_meta(cfg.train_dataloader)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    if not has_class:
        visualizer = VISUALIZERS.build(cfg.visualizer)
        visualizer.dataset_meta = dataset.metainfo
    for number in range(min(args.number, len(dataset))):
        item = dataset[number]
        path = args.output / name_of(item["data_samples"], number)
        if has_class:
            draw_classified(item, dataset.metainfo.get("classes"), path)
        else:
            draw_image(item, visualizer, path)
        print(path)


def draw_image(item: dict[str, Any], visualizer: Visualizer, path: Path) -> None:
    """Draw what the training gets of one image, as the visualizer does."""
    image = item["inputs"].permute(1, 2, 0).numpy()[..., ::-1]  # RGB
    sample = item["data_samples"]
    if "bboxes" in sample.get("gt_instances", ()):
        boxes = sample.gt_instances.bboxes
        sample.gt_instances.bboxes = getattr(boxes, "tensor", boxes)
    image = np.ascontiguousarray(image)
    visualizer.add_datasample(
        path.name, image, sample, draw_pred=False, out_file=str(path)
    )


def draw_classified(
    item: dict[str, Any], classes: Sequence[str] | None, path: Path
) -> None:
    """Draw an image (C, H, W), or the frames of a clip, with its class, or classes."""
    label = item["data_samples"].gt_label
    if label.is_floating_point():  # 1 at each of several
        label = label.nonzero().flatten()
    names = [classes[i] if classes else str(i) for i in label.tolist()]
    heading = f"{path.stem}: class {', '.join(names)}"
    inputs = item["inputs"]
    if inputs.ndim == 3:
        frames = inputs.flip(0).permute(1, 2, 0)[None].numpy()  # BGR to RGB
    else:
        frames = frames_of(inputs)
    save_figure(draw_frames(frames, heading), path)


if __name__ == "__main__":
    main()
