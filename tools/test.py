#!/usr/bin/env python
"""Evaluate a checkpoint of MMDetection, MMSegmentation or ours.

tools/test.py configs/mask_rcnn_r50_nl.py work_dirs/mask_rcnn_r50_nl/epoch_12.pth
tools/dist_test.sh CONFIG CHECKPOINT 8 --out results.pkl
"""

import argparse
from pathlib import Path

from mmengine.registry import RUNNERS

from nlse_mm.checkpoint.loading.schemes import whole
from nlse_mm.environment.operators import check_operators
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
from nlse_mm.training.prediction_options import keep_predictions, set_images, set_tta
from nlse_mm.training.process_group import start_process_group
from nlse_mm.training.user_error import in_one_sentence
from nlse_mm.validation.empty_data import explain_unusable_data


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


@in_one_sentence
def main() -> None:
    args = parse_arguments()
    if args.launcher == "pytorch":
        die_with_torchrun()
    if not is_file_or_remote(args.checkpoint):
        raise ConfigError(
            f"the checkpoint {args.checkpoint} does not exist (seen from {Path.cwd()})"
        )
    needs = ("test_dataloader", "test_cfg", "test_evaluator")
    cfg = load_config(args, "a test", needs)
    fill_ann_files(cfg, "test")
    check_data_files(cfg, "test")
    if args.show or args.show_dir:
        set_images(cfg, args)
    if args.out:
        keep_predictions(cfg, args.out)
    if args.tta:
        set_tta(cfg)
    start_process_group(cfg)
    cfg.load_from, cfg.resume = whole(args.checkpoint), False
    loader = cfg.test_dataloader
    loader.setdefault("worker_init_fn", dict(type="nlse_mm.seed_worker"))
    add_weights_check(cfg, testing=True)
    add_hook(cfg, type="nlse_mm.CheckAgreementHook")
    runner = RUNNERS.build(cfg)
    check_operators(runner.model, training=False)
    with explain_unusable_data(runner):
        runner.test()


if __name__ == "__main__":
    main()
