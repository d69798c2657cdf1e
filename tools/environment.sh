# Sourced by the other scripts. Sets TOOLS, and PATH to the Python to use: an active
# environment's, as tools/install.sh takes it, else the project's own.
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -z ${VIRTUAL_ENV:-} && (-z ${CONDA_PREFIX:-} || ${CONDA_DEFAULT_ENV:-} == base) ]] &&
    [[ -x ${TOOLS%/*}/.venv/bin/python ]]; then
    PATH=${TOOLS%/*}/.venv/bin:$PATH
fi
