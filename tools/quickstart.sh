#!/usr/bin/env bash
# From a clone to COCO mAP: install, make the data, train Mask R-CNN with a non-local
# block, evaluate it, draw what it finds.
#
#   tools/quickstart.sh
#
# After the installation it takes minutes on two CPU cores. Run it again to go on where
# it was stopped; delete work_dirs/quickstart to start anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=configs/tiny/mask_rcnn_r18_nl.py
data=data/tiny_coco
least=0.50 # mAP of boxes and of masks that this training is known to exceed

say() { printf '\033[1m[quickstart]\033[0m %s\n' "$*"; }
die() { printf '[quickstart] %s\n' "$*" >&2; exit 1; }

tools/install.sh
. tools/environment.sh
work=work_dirs/quickstart${STACK:+-$STACK}
# Threads that wait by spinning bring a shared machine to a standstill.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

SECONDS=0
python tools/data/make_tiny_coco.py "$data" ||
    die "There is no data to train on: the line above says why."

say "training $config"
# On a CPU, two processes with a thread each are nearly twice as fast as one with two.
processes=$(( $(nproc) > 1 ? 2 : 1 ))
command -v nvidia-smi > /dev/null && processes=1
tools/dist_train.sh "$config" "$processes" --work-dir "$work" --resume ||
    die "The training stopped; run tools/quickstart.sh again to go on from its last checkpoint."
trained=$SECONDS

say "evaluating on images it never saw"
checkpoint=$(< "$work/last_checkpoint")
log=$work/evaluation.log
python tools/test.py "$config" "$checkpoint" --work-dir "$work" --show-dir "$PWD/$work/detections" 2>&1 |
    tee "$log" || die "The evaluation of $checkpoint failed: its last lines above say why."

map() { grep -oE "coco/$1_mAP: [0-9.]+" "$log" | tail -n 1 | grep -oE '[0-9.]+$' || echo 0; }
box=$(map bbox)
mask=$(map segm)
say "bbox mAP $box, segm mAP $mask; $((trained / 60)) min $((trained % 60)) s for data and training, $((SECONDS - trained)) s for the evaluation"
say "images, truth on the left and detections on the right: $work/detections"
say "checkpoint: $checkpoint"
awk -v a="$box" -v b="$mask" -v c="$least" 'BEGIN { exit !(a >= c && b >= c) }' ||
    die "An mAP is below $least, which this training is known to exceed: something is wrong."
