#!/usr/bin/env bash
# Train under Slurm.
#
#   GPUS=16 GPUS_PER_NODE=8 tools/slurm_train.sh PARTITION JOB configs/mask_rcnn_r50_nl.py work_dirs/mask_rcnn_r50_nl
set -euo pipefail
USAGE="WORK_DIR [OPTIONS OF train.py]" INSTEAD=dist_train.sh
. "$(dirname "${BASH_SOURCE[0]}")/slurm_env.sh"
exec "${LAUNCH[@]}" "$TOOLS/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
