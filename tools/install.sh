#!/usr/bin/env bash
# Install nlse_mm with the pinned stack of requirements.txt. Running it again is free.
#
#   tools/install.sh
#   PYTHON=python3.12 tools/install.sh      another Python, 3.10 to 3.12
#   TORCH=2.8.0 tools/install.sh            another PyTorch; 2.13.0 is what is tested
#
# It installs into the active environment, or into .venv, which it makes. MMCV is built
# with its compiled operators, for CUDA as well where there are a GPU and nvcc; that
# takes 13 minutes on two cores, once: the wheel is kept in ~/.cache/nlse_mm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m[install]\033[0m %s\n' "$*"; }
die() { printf '[install] %s\n' "$*" >&2; exit 1; }

in_range() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; }

# The Python to use: an active environment's, the project's, or a new one's.
if [[ -n ${VIRTUAL_ENV:-} || ( -n ${CONDA_PREFIX:-} && ${CONDA_DEFAULT_ENV:-} != base ) ]]; then
    python=$(command -v python) || die "The active environment has no python."
elif [[ -x .venv/bin/python ]]; then
    python=$PWD/.venv/bin/python
else
    base=
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if in_range "$candidate"; then base=$candidate; break; fi
    done
    [[ -n $base ]] || die "nlse_mm needs Python 3.10 to 3.12, and '${PYTHON:-python3}' is" \
        "$("${PYTHON:-python3}" --version 2>&1 || echo missing): install one of these and name it, as in" \
        "PYTHON=python3.12 tools/install.sh."
    "$base" -c 'import ensurepip, venv' 2>/dev/null ||
        die "Python's venv module is missing ('$base -m venv'): on Debian and Ubuntu, install python3-venv."
    say "making .venv with $("$base" --version)"
    "$base" -m venv .venv
    python=$PWD/.venv/bin/python
fi
in_range "$python" ||
    die "nlse_mm needs Python 3.10 to 3.12, and the environment's is $("$python" --version 2>&1): activate another one," \
        "or deactivate it and let this script make .venv."

torch=${TORCH:-$(sed -n 's/^torch==//p' requirements.txt)}
mmcv=$(sed -n 's/^mmcv==//p' requirements.txt)

prefix=$("$python" -c 'import sys; print(sys.prefix)')
done_file=$prefix/nlse_mm-installed
state="$PWD torch $torch $(cat requirements.txt setup.py tools/install.sh | cksum)"
if [[ -f $done_file && $(<"$done_file") == "$state" ]]; then
    say "up to date in $prefix"
    exit 0
fi

needed_gib=6
free_gib=$(( $(df -Pk "$prefix" | awk 'NR == 2 { print $4 }') / 1048576 ))
(( free_gib >= needed_gib )) ||
    die "The disk of $prefix has $free_gib GiB left, and the installation needs $needed_gib GiB: make room and run again."

# requirements.txt pins what is tested; TORCH replaces one line of it.
constraints=$(mktemp)
log=$(mktemp)
trap 'rm -f "$constraints" "$log"' EXIT
sed "s/^torch==.*/torch==$torch/" requirements.txt > "$constraints"
pip_install() {
    "$python" -m pip install --disable-pip-version-check --constraint "$constraints" "$@" ||
        die "pip could not install '$*': its last lines above say why. Without a network, nothing can be installed."
}

say "PyTorch $torch and the tools that build MMCV"
pip_install --quiet setuptools wheel ninja psutil torch numpy

# One wheel for each Python, PyTorch and kind of device: its binary fits no other.
cuda=$("$python" -c '
import torch
from torch.utils.cpp_extension import CUDA_HOME
print(int(torch.cuda.is_available() and CUDA_HOME is not None))')
tag=$("$python" -c '
import sys, platform, torch
print(f"cp{sys.version_info[0]}{sys.version_info[1]}-torch{torch.__version__}-{platform.machine()}")')
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/nlse_mm/mmcv-$mmcv-$tag-cuda$cuda
if command -v nvidia-smi > /dev/null && [[ $cuda == 0 ]]; then
    say "a GPU, but no nvcc or no CUDA build of PyTorch: MMCV's operators will run on the CPU only"
fi

if ! compgen -G "$wheels/mmcv-*.whl" > /dev/null; then
    command -v "${CXX:-c++}" > /dev/null ||
        die "MMCV has to be compiled and there is no C++ compiler ('${CXX:-c++}'): install one (on Debian and Ubuntu, build-essential)."
    "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        die "MMCV has to be compiled and Python's headers (Python.h) are missing: on Debian and Ubuntu, install python3-dev."
    say "building MMCV $mmcv (8 to 19 minutes on two cores, once)"
    mkdir -p "$wheels"
    new=$(mktemp -d "$wheels/building.XXXXXX")
    started=$SECONDS
    # Python's own flags ask for debug information, which nobody needs and which takes
    # nearly half of the time.
    CFLAGS="${CFLAGS:-} -g0" CXXFLAGS="${CXXFLAGS:-} -g0" MMCV_WITH_OPS=1 FORCE_CUDA=$cuda \
        "$python" -m pip wheel --verbose --no-cache-dir --no-deps \
        --no-build-isolation --wheel-dir "$new" "mmcv==$mmcv" > "$log" 2>&1 &
    build=$!
    trap 'kill $build 2>/dev/null || true; rm -rf "$constraints" "$log" "$new"' EXIT
    shown=
    while kill -0 $build 2>/dev/null; do
        files=$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$log" | tail -n 1 | tr -d ' []' || true)
        if [[ -n $files && $files != "$shown" ]]; then
            shown=$files
            all=${files#*/} compiled=${files%/*}
            left=$(( (SECONDS - started) * (all - compiled) / (compiled + 1) / 60 + 1 ))
            say "  $files files compiled, about $left min left"
        fi
        sleep 5
    done
    if ! wait $build; then
        tail -n 30 "$log" >&2
        die "MMCV $mmcv could not be built with PyTorch $torch: the compiler's last lines are above."
    fi
    mv "$new"/mmcv-*.whl "$wheels/"
    rm -rf "$new"
fi

say "OpenMMLab, nlse_mm and the test tools"
pip_install --quiet "$wheels"/mmcv-*.whl
pip_install --quiet --no-build-isolation --editable '.[mmdet,mmseg,tests]'
"$python" -c 'import mmcv._ext, mmdet, mmseg' 2> "$log" ||
    { cat "$log" >&2; die "The installed packages can't be imported: the reason is above."; }
echo "$state" > "$done_file"
say "done: $("$python" -c '
import mmcv, mmdet, mmengine, mmseg, torch
print(f"PyTorch {torch.__version__}, MMEngine {mmengine.__version__}, MMCV {mmcv.__version__}, "
      f"MMDetection {mmdet.__version__}, MMSegmentation {mmseg.__version__}")' 2>/dev/null) in $prefix"
