# Sourced by dist_train.sh and dist_test.sh, which set GPUS: which Python, how many
# processes fit, where they meet, how many threads each has. Sets LAUNCH.

# An environment that is active comes first, then the project's own.
if [[ -z ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} && -x $TOOLS/../.venv/bin/python ]]; then
    PYTHON=$TOOLS/../.venv/bin/python
else
    PYTHON=python
fi

if [[ ! $GPUS =~ ^[1-9][0-9]*$ ]]; then
    echo "error: the number of GPUs (without one, of processes) is '$GPUS', not 1, 2, 3 ..." >&2
    exit 2
fi
THERE=$("$PYTHON" -c 'import torch; print(torch.cuda.device_count())') || {
    echo "error: $PYTHON can't import torch; tools/install.sh installs it" >&2
    exit 2
}
if ((THERE > 0 && GPUS > THERE)); then
    echo "error: $GPUS GPUs were asked for, and $THERE are here" >&2
    exit 2
fi
if ((THERE == 0)); then
    # Each process gets its share of the cores; with GPUs torchrun's one thread is right.
    SHARE=$(($(nproc) / GPUS))
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((SHARE > 0 ? SHARE : 1))}
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=${MKL_NUM_THREADS:-${OMP_NUM_THREADS:-1}}
export NLSE_MM_AGENT=$$ # exec makes torchrun's agent of this shell

NNODES=${NNODES:-1}
LAUNCH=("$PYTHON" "$TOOLS/torchrun.py" --nnodes="$NNODES" --nproc-per-node="$GPUS")
if [[ $NNODES == 1 && -z ${PORT:-} ]]; then
    LAUNCH+=(--standalone) # a free port: two trainings on one machine don't collide
else
    LAUNCH+=(--node-rank="${NODE_RANK:-0}" --master-addr="${MASTER_ADDR:-127.0.0.1}"
        --master-port="${PORT:-29500}")
fi
