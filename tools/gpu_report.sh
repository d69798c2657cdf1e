#!/usr/bin/env bash
# Run what only a GPU can show, in less than 20 minutes, and write it down with the card,
# the versions and the commands: docs/benchmarks/gpu_CARD.md, or the file of --output.
#
#   tools/gpu_report.sh
#   tools/gpu_report.sh --only tests attention --output gpu.md
#   tools/gpu_report.sh --trial --output trial.md       tiny, on the CPU: does all of it run?
#
# It needs PyTorch, MMEngine and MMCV in the active Python; what needs a toolbox with
# MMCV's operators compiled for CUDA is left out without it, and the file says so. What
# fails is written down as well, and the exit code is 1 then; 2 where there is no GPU.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec python "$TOOLS/analysis/gpu_report.py" "$@"
