#!/usr/bin/env python
"""Train a config of MMDetection, MMSegmentation or ours; with a GPU or without.

tools/train.py configs/mask_rcnn_r50_nl.py
tools/train.py configs/mask_rcnn_r50_nl.py --resume
tools/dist_train.sh configs/mask_rcnn_r50_nl.py 8
"""

import argparse

from mmengine.registry import RUNNERS

from nlse_mm.environment.operators import check_operators
from nlse_mm.training.check_weights import add_weights_check
from nlse_mm.training.config import add_hook, load_config, parser_with_common_arguments
from nlse_mm.training.data_files import check_data_files, fill_ann_files
from nlse_mm.training.exact_resume import make_reproducible, set_resume
from nlse_mm.training.parent import die_with_torchrun
from nlse_mm.training.process_group import start_process_group
from nlse_mm.training.train_options import set_amp, set_checkpoint_hook, set_lr_scaling
from nlse_mm.training.user_error import in_one_sentence
from nlse_mm.validation.empty_data import explain_unusable_data


def parse_arguments() -> argparse.Namespace:
    parser = parser_with_common_arguments("Train a model.")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from this checkpoint; without a path (or with auto), from the "
        "newest complete one in the work folder",
    )
    parser.add_argument(
        "--amp", action="store_true", help="train in mixed precision (needs a GPU)"
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by total batch size / "
        "auto_scale_lr.base_batch_size",
    )
    return parser.parse_args()


@in_one_sentence
def main() -> None:
    args = parse_arguments()
    if args.launcher == "pytorch":
        die_with_torchrun()
    needs = ("train_dataloader", "train_cfg", "optim_wrapper")
    cfg = load_config(args, "a training", needs)
    set_amp(cfg, args.amp)
    if args.auto_scale_lr:
        set_lr_scaling(cfg)
    fill_ann_files(cfg, "val")
    check_data_files(cfg, "train", "val")
    start_process_group(cfg)
    set_resume(cfg, args.resume)
    make_reproducible(cfg)
    set_checkpoint_hook(cfg)
    add_hook(cfg, type="nlse_mm.EvaluateFinishedHook")
    add_hook(cfg, type="nlse_mm.CheckPluginsHook")
    add_weights_check(cfg)
    add_hook(cfg, type="nlse_mm.CheckAgreementHook")
    runner = RUNNERS.build(cfg)
    check_operators(runner.model, training=True)
    with explain_unusable_data(runner):
        runner.train()


if __name__ == "__main__":
    main()
