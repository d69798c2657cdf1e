#!/usr/bin/env bash
# Install what is missing, lint, check types, and run the tests; arguments go to pytest.
#
#   tools/run_tests.sh
#   tools/run_tests.sh tests/plugins -k identity
#   tools/run_tests.sh -m slow              what takes minutes
#   tools/run_tests.sh -m documented --dist worksteal
#                                           every command of README and docs, made small
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/install.sh
. tools/environment.sh
prefix=$(python -c 'import sys; print(sys.prefix)')
if grep -qs '^default .*, PyTorch as pinned, ' "$prefix/nlse_mm-installed"; then
    ruff check .
    ruff format --check .
    mypy
else
    echo "not linted: ruff and mypy go by the versions of the default stack, which $prefix is not"
fi
# A process of one thread on each core, a test file to each: half the time of one process.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec python -m pytest --numprocesses logical --dist loadfile "$@"
