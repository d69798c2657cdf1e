# Sourced by slurm_train.sh and slurm_test.sh, which set USAGE and INSTEAD: how many
# processes on how many machines. Sets LAUNCH.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
if (($# < 4)); then
    echo "usage: [GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=5 SRUN_ARGS=...] $0 PARTITION JOB CONFIG $USAGE" >&2
    exit 2
fi
if ! command -v srun >/dev/null; then
    echo "error: there is no srun here; on one machine use tools/$INSTEAD" >&2
    exit 2
fi
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
# shellcheck disable=SC2206  # SRUN_ARGS is a list of words
LAUNCH=(srun --partition="$1" --job-name="$2"
    --gres=gpu:"$GPUS_PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE"
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-}
    python -u)
