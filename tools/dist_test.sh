#!/usr/bin/env bash
# Evaluate a checkpoint over several GPUs, or without one over several processes.
#
#   tools/dist_test.sh configs/mask_rcnn_r50_nl.py CHECKPOINT 8
set -euo pipefail
if (($# < 3)); then
    echo "usage: [NNODES=1 NODE_RANK=0 MASTER_ADDR=127.0.0.1 PORT=29500] $0 CONFIG CHECKPOINT GPUS [OPTIONS OF test.py]" >&2
    exit 2
fi
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG=$1 CHECKPOINT=$2 GPUS=$3
. "$TOOLS/launch_env.sh"
exec "${LAUNCH[@]}" "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
