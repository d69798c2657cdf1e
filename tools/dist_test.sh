#!/usr/bin/env bash
# Evaluate a checkpoint over several GPUs, or without one over several processes.
#
#   tools/dist_test.sh configs/mask_rcnn_r50_nl.py CHECKPOINT 8
set -euo pipefail
GPUS=${3:-} USAGE="CONFIG CHECKPOINT GPUS [OPTIONS OF test.py]"
. "$(dirname "${BASH_SOURCE[0]}")/launch_env.sh"
exec "${LAUNCH[@]}" "$TOOLS/test.py" "$1" "$2" --launcher pytorch "${@:4}"
