# Sourced by dist_train.sh and dist_test.sh, which set USAGE and GPUS: how many processes
# fit, where they meet, how many threads each has. Sets LAUNCH.
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
if [[ -z $GPUS ]]; then
    echo "usage: [NNODES=1 NODE_RANK=0 MASTER_ADDR=127.0.0.1 PORT=29500] $0 $USAGE" >&2
    exit 2
fi
if [[ ! $GPUS =~ ^[1-9][0-9]*$ ]]; then
    echo "error: the number of GPUs (without one, of processes) is '$GPUS', not 1, 2, 3 ..." >&2
    exit 2
fi
THERE=$(python -c 'import torch; print(torch.cuda.device_count())') || {
    echo "error: $(command -v python || echo python) can't import torch; tools/install.sh installs it" >&2
    exit 2
}
if ((THERE > 0 && GPUS > THERE)); then
    echo "error: $GPUS GPUs were asked for, and $THERE are here" >&2
    exit 2
fi
THREADS=1 # of a process that has a GPU; without GPUs each gets its share of the cores
if ((THERE == 0 && $(nproc) > GPUS)); then THREADS=$(($(nproc) / GPUS)); fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$THREADS}
export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
export NLSE_MM_AGENT=$$ # exec makes torchrun's agent of this shell

LAUNCH=(python "$TOOLS/torchrun.py" --nnodes="${NNODES:-1}" --nproc-per-node="$GPUS")
if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
    LAUNCH+=(--standalone) # a free port: two trainings on one machine don't collide
else
    LAUNCH+=(--node-rank="${NODE_RANK:-0}" --master-addr="${MASTER_ADDR:-127.0.0.1}"
        --master-port="${PORT:-29500}")
fi
