#!/usr/bin/env bash
# Evaluate a checkpoint under Slurm.
#
#   GPUS=16 GPUS_PER_NODE=8 tools/slurm_test.sh PARTITION JOB configs/mask_rcnn_r50_nl.py CHECKPOINT
set -euo pipefail
USAGE="CHECKPOINT [OPTIONS OF test.py]" INSTEAD=dist_test.sh
. "$(dirname "${BASH_SOURCE[0]}")/slurm_env.sh"
exec "${LAUNCH[@]}" "$TOOLS/test.py" "$3" "$4" --launcher slurm "${@:5}"
