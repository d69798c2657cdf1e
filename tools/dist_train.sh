#!/usr/bin/env bash
# Train over several GPUs, or without one over several processes; over several machines
# when run on each of them with its NODE_RANK.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_nl.py 8
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_train.sh CONFIG 8
set -euo pipefail
if (($# < 2)); then
    echo "usage: [NNODES=1 NODE_RANK=0 MASTER_ADDR=127.0.0.1 PORT=29500] $0 CONFIG GPUS [OPTIONS OF train.py]" >&2
    exit 2
fi
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG=$1 GPUS=$2
. "$TOOLS/launch_env.sh"
exec "${LAUNCH[@]}" "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
