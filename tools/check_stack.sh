#!/usr/bin/env bash
# Make a stack in an environment of its own and run the test suite in it; the rest of
# the arguments go to pytest. The last line is a row for docs/stacks.md.
#
#   tools/check_stack.sh oldest             or default, newest, onedl
#   tools/check_stack.sh oldest tests/plugins
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ $# -ge 1 ]] || { echo "usage: tools/check_stack.sh NAME [PYTEST_ARGUMENT...]" >&2; exit 2; }

export STACK=$1
shift
tools/install.sh
. tools/environment.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
failed=0
python -m pytest --numprocesses logical --dist loadfile "$@" 2>&1 | tee "$log" || failed=$?

versions=$(python -c '
import platform, re
from importlib.metadata import distributions
found = {one.name.lower().replace("_", "-"): one.version for one in distributions() if one.name}
print(f"Python {platform.python_version()}", *(
    f"{name} {found[name]}" for name in sorted(found) if re.match("torch|numpy$|(onedl-)?mm", name)), sep=", ")')
count() { tail -n 1 "$log" | grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0; }
minutes=$(tail -n 1 "$log" | grep -oE 'in [0-9.]+s' | grep -oE '[0-9.]+' | awk '{ printf "%.0f", $1 / 60 }' || true)
echo
echo "| stack | date | versions | passed | failed | skipped | minutes |"
echo "|---|---|---|---|---|---|---|"
echo "| $STACK | $(date +%F) | $versions | $(count passed) | $(( $(count failed) + $(count error) )) | $(count skipped) | $minutes |"
exit "$failed"
