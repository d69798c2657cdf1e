# Sourced by the other scripts. Sets TOOLS, and PATH to the Python to use: that of
# $STACK, an active environment's, as tools/install.sh takes it, else the project's own.
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -n ${STACK:-} || (-z ${VIRTUAL_ENV:-} && (-z ${CONDA_PREFIX:-} || ${CONDA_DEFAULT_ENV:-} == base)) ]]; then
    own=${TOOLS%/*}/.venv-${STACK:-default}
    own=${own%-default}
    [[ ! -x $own/bin/python ]] || PATH=$own/bin:$PATH
fi
