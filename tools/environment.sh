# Sourced by the other scripts. Sets TOOLS, STACK where it is one, and PATH to the Python
# to use: that of $STACK, an active environment's, as tools/install.sh takes it, else the
# project's own. The scripts and tests that are called see an active environment.
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
own=${TOOLS%/*}/.venv
if [[ -z ${STACK:-} && ${VIRTUAL_ENV:-} == "$own"-@(oldest|newest|onedl) ]]; then STACK=${VIRTUAL_ENV##*/.venv-}; fi
case ${STACK:-default} in
    default) ;;
    oldest | newest | onedl)
        own=$own-$STACK
        if [[ ! -x $own/bin/python ]]; then
            echo "error: STACK=$STACK is not installed; STACK=$STACK tools/install.sh installs it" >&2
            exit 2
        fi ;;
    *)
        echo "error: STACK=$STACK is not one of oldest, default, newest and onedl" >&2
        exit 2 ;;
esac
if [[ -n ${STACK:-} || (-z ${VIRTUAL_ENV:-} && (-z ${CONDA_PREFIX:-} || ${CONDA_DEFAULT_ENV:-} == base)) ]]; then
    if [[ -x $own/bin/python ]]; then export PATH=$own/bin:$PATH VIRTUAL_ENV=$own; fi
fi
export -n STACK
