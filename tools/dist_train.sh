#!/usr/bin/env bash
# Train over several GPUs, or without one over several processes; over several machines
# when run on each of them with its NODE_RANK.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_nl.py 8
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_train.sh CONFIG 8
set -euo pipefail
GPUS=${2:-} USAGE="CONFIG GPUS [OPTIONS OF train.py]"
. "$(dirname "${BASH_SOURCE[0]}")/launch_env.sh"
exec "${LAUNCH[@]}" "$TOOLS/train.py" "$1" --launcher pytorch "${@:3}"
