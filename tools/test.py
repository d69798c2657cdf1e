#!/usr/bin/env python
"""Evaluate a checkpoint of MMDetection, MMSegmentation or ours.

tools/test.py configs/mask_rcnn_r50_nl.py work_dirs/mask_rcnn_r50_nl/epoch_12.pth
tools/dist_test.sh CONFIG CHECKPOINT 8 --out results.pkl
"""

import argparse
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS

from nlse_mm.errors import ConfigError
from nlse_mm.training.check_weights import add_weights_check
from nlse_mm.training.config import (
    add_hook,
    is_file_or_remote,
    load_config,
    parser_with_common_arguments,
)
from nlse_mm.training.data_files import check_data_files, fill_ann_files
from nlse_mm.training.parent import die_with_torchrun
from nlse_mm.training.process_group import start_process_group
from nlse_mm.training.user_error import in_one_sentence
from nlse_mm.validation.empty_data import explain_unusable_data

# What MMDetection packs, and what its merging of flipped images needs on top.
_TTA_META_KEYS = (
    "img_id",
    "img_path",
    "ori_shape",
    "img_shape",
    "scale_factor",
    "flip",
    "flip_direction",
)
_DETECTION_TTA = dict(
    flip="RandomFlip",
    pack="PackDetInputs",
    model="DetTTAModel",
    meta_keys=_TTA_META_KEYS,
)
_KEYPOINT_TTA = dict(
    flip="nlse_mm.FlipKeypoints",
    pack="nlse_mm.PackKeypoints",
    model="nlse_mm.KeypointTTAModel",
    meta_keys=(*_TTA_META_KEYS, "flip_indices"),
)


def parse_arguments() -> argparse.Namespace:
    parser = parser_with_common_arguments("Evaluate a checkpoint.")
    parser.add_argument("checkpoint", help="the checkpoint file")
    parser.add_argument(
        "--out",
        help="keep the predictions: a .pkl file (detection) or a folder of label "
        "images (segmentation)",
    )
    parser.add_argument("--show", action="store_true", help="show the predictions")
    parser.add_argument("--show-dir", help="folder for images of the predictions")
    parser.add_argument(
        "--wait-time", type=float, default=2, help="seconds that --show waits"
    )
    parser.add_argument(
        "--tta", action="store_true", help="average over flipped images (and scales)"
    )
    return parser.parse_args()


def set_pictures(cfg: Config, args: argparse.Namespace) -> None:
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if hook is None:
        raise ConfigError(
            "--show and --show-dir need default_hooks.visualization in the config, "
            "such as dict(type='DetVisualizationHook') or "
            "dict(type='SegVisualizationHook')"
        )
    hook.draw = True
    if args.show:
        hook.update(show=True, wait_time=args.wait_time)
    is_mmseg = cfg.get("default_scope") == "mmseg"
    if is_mmseg:
        hook.setdefault("interval", 1)  # an image of every image, as in MMDetection
    if args.show_dir and is_mmseg:
        cfg.visualizer.save_dir = args.show_dir
    elif args.show_dir:
        hook.test_out_dir = args.show_dir


def keep_predictions(cfg: Config, out: str) -> None:
    metrics = cfg.test_evaluator
    metrics = [metrics] if isinstance(metrics, dict) else list(metrics)
    if cfg.get("default_scope") == "mmseg":
        for metric in metrics:
            metric.update(output_dir=out, keep_results=True)
    elif not out.endswith((".pkl", ".pickle")):
        raise ConfigError(f"--out {out} is not a .pkl or .pickle file")
    else:
        is_mmdet = cfg.get("default_scope") == "mmdet"
        dump = "DumpDetResults" if is_mmdet else "DumpResults"
        metrics.append(dict(type=dump, out_file_path=out))
    cfg.test_evaluator = metrics


def set_tta(cfg: Config) -> None:
    dataset = cfg.test_dataloader.dataset
    while "dataset" in dataset:
        dataset = dataset.dataset
    if cfg.get("default_scope") == "mmdet":
        keypoints = dataset.pipeline[-1].type == "nlse_mm.PackKeypoints"
        names = _KEYPOINT_TTA if keypoints else _DETECTION_TTA
        # The first view's sample is the one that is drawn: not a flipped one.
        flips = [dict(type=names["flip"], prob=prob) for prob in (0.0, 1.0)]
        pack = [dict(type=names["pack"], meta_keys=names["meta_keys"])]
        views = dict(type="TestTimeAug", transforms=[flips, pack])
        cfg.setdefault("tta_pipeline", [*dataset.pipeline[:-1], views])
        nms = dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)
        cfg.setdefault("tta_model", dict(type=names["model"], tta_cfg=nms))
    for key in ("tta_model", "tta_pipeline"):
        if cfg.get(key) is None:
            raise ConfigError(f"--tta needs {key} in the config")
    dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(cfg.tta_model, module=cfg.model)


@in_one_sentence
def main() -> None:
    args = parse_arguments()
    if args.launcher == "pytorch":
        die_with_torchrun()
    if not is_file_or_remote(args.checkpoint):
        raise ConfigError(
            f"the checkpoint {args.checkpoint} does not exist (seen from {Path.cwd()})"
        )
    cfg = load_config(args)
    for key in ("test_dataloader", "test_cfg", "test_evaluator"):
        if cfg.get(key) is None:
            raise ConfigError(f"{args.config} has no {key}, which a test needs")
    fill_ann_files(cfg, "test")
    check_data_files(cfg, "test")
    if args.show or args.show_dir:
        set_pictures(cfg, args)
    if args.out:
        keep_predictions(cfg, args.out)
    if args.tta:
        set_tta(cfg)
    start_process_group(cfg)
    cfg.load_from, cfg.resume = args.checkpoint, False
    loader = cfg.test_dataloader
    loader.setdefault("worker_init_fn", dict(type="nlse_mm.seed_worker"))
    add_weights_check(cfg, testing=True)
    add_hook(cfg, type="nlse_mm.CheckAgreementHook")
    runner = RUNNERS.build(cfg)
    with explain_unusable_data(runner):
        runner.test()


if __name__ == "__main__":
    main()
