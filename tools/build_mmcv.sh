#!/usr/bin/env bash
# Build a wheel of MMCV with its compiled operators; its path is the last line.
#
#   tools/build_mmcv.sh PYTHON DISTRIBUTION==VERSION
#
# PYTHON has PyTorch, setuptools, wheel, ninja and psutil. The wheel is kept in
# ~/.cache/nlse_mm. Operators for CUDA are built where there are a GPU and nvcc, and
# anywhere with FORCE_CUDA=1, then for the cards of TORCH_CUDA_ARCH_LIST. CUDA_HOME
# says where the toolkit is, MAX_JOBS how many files are compiled at a time.
set -euo pipefail

say() { printf '\033[1m[install]\033[0m %s\n' "$*" >&2; }
die() { printf '[install] %s\n' "$*" >&2; exit 1; }

python=$1 mmcv=$2
name=${mmcv%==*}

# One wheel for each Python, PyTorch, kind of machine and cards: its binary fits no other.
IFS=';' read -r tag standard visible has_nvcc cards < <("$python" -c '
import sys, platform, torch
from torch.utils.cpp_extension import CUDA_HOME
python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
release = tuple(int(part) for part in torch.__version__.split(".")[:2])
gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
cards = sorted({"%d.%d" % torch.cuda.get_device_capability(gpu) for gpu in gpus})
# Where the version names no build, as in conda, or PyTorch has the older C++ ABI.
kind = f"_cuda{torch.version.cuda}" if torch.version.cuda and "+" not in torch.__version__ else ""
kind += "" if torch.compiled_with_cxx11_abi() else "_old-abi"
print(f"{python}-torch{torch.__version__}{kind}-{platform.machine()}",
      "c++20" if release >= (2, 14) else "c++17",
      int(bool(gpus)), int(bool(CUDA_HOME and torch.version.cuda)), *cards, sep=";")' 2> >(grep -v "No CUDA runtime is found" >&2)) || true
[[ -n ${has_nvcc:-} ]] || die "PyTorch can't be imported: the reason is above."
cuda=${FORCE_CUDA:-$(( visible && has_nvcc ))}
device=cpu
if [[ $cuda == 1 ]]; then
    # Binaries for A100, RTX 30 and 40, and H100; newer cards compile the last one's PTX.
    export TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-${cards:-8.0;8.6;9.0+PTX}}
    device=cuda-${TORCH_CUDA_ARCH_LIST//[; ]/_}
elif (( visible && ! has_nvcc )); then
    say "a GPU, but no nvcc or no CUDA build of PyTorch: MMCV's operators will run on the CPU only"
fi
wheels=${XDG_CACHE_HOME:-$HOME/.cache}/nlse_mm/${mmcv/==/-}-$tag-$device-$standard
if compgen -G "$wheels/*.whl" > /dev/null; then
    echo "$wheels"/*.whl
    exit 0
fi

[[ $device == cpu ]] || (( has_nvcc )) ||
    die "MMCV's operators for CUDA need nvcc and a CUDA build of PyTorch, and one of them is missing:" \
        "install the CUDA toolkit of PyTorch's version (CUDA_HOME says where), or say FORCE_CUDA=0."
command -v "${CXX:-c++}" > /dev/null ||
    die "MMCV has to be compiled and there is no C++ compiler ('${CXX:-c++}'): install one (on Debian and Ubuntu, build-essential)."
"$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    die "MMCV has to be compiled and Python's headers (Python.h) are missing: on Debian and Ubuntu, install python3-dev."
"$python" -c 'import pkg_resources' 2> /dev/null ||
    die "MMCV has to be compiled and setuptools has no pkg_resources, which MMCV and MMEngine import: pip install 'setuptools<81'."

if [[ $device == cpu ]]; then
    takes="10 minutes on two free cores, 25 on busy ones"
    export CUDA_VISIBLE_DEVICES= # MMCV's setup.py wants nvcc wherever it sees a GPU
else
    takes="operators for CUDA $TORCH_CUDA_ARCH_LIST too: hours on two cores, minutes on many"
    # What the toolkit may lack, such as cusparse.h, is in PyTorch's own packages.
    headers=$("$python" -c '
import sysconfig
from pathlib import Path
print(*Path(sysconfig.get_path("purelib"), "nvidia").glob("*/include"), sep=":")')
    export CPATH=${CPATH:+$CPATH:}$headers
fi
say "building MMCV ${mmcv#*==} ($takes, once)"
mkdir -p "$wheels"
new=$(mktemp -d "$wheels/building.XXXXXX")
log=$new/log
build=
trap '[[ -z $build ]] || kill $build 2> /dev/null || true; rm -rf "$new"' EXIT
"$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --no-build-isolation \
    --no-binary "$name" --dest "$new" "$mmcv" > "$log" 2>&1 || { cat "$log" >&2; die "MMCV's sources can't be had: see above."; }
mkdir "$new/source"
tar -xzf "$new"/*.tar.gz --strip-components 1 -C "$new/source"
sed -i "s/-std=c++1[47]/-std=$standard/" "$new/source/setup.py"

# Nobody needs debug information, which takes nearly half of the time. Newer setuptools
# takes CFLAGS in place of Python's own flags, among which are -O3 and -DNDEBUG.
own=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("CFLAGS"))')
started=$SECONDS
CFLAGS="$own ${CFLAGS:-} -g0" CXXFLAGS="$own ${CXXFLAGS:-} -g0" MMCV_WITH_OPS=1 FORCE_CUDA=$cuda \
    "$python" -m pip wheel --verbose --no-cache-dir --no-deps --no-build-isolation \
    --wheel-dir "$new" "$new/source" > "$log" 2>&1 &
build=$!
shown=
while kill -0 $build 2> /dev/null; do
    files=$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$log" | tail -n 1 | tr -d ' []' || true)
    if [[ -n $files && $files != "$shown" ]]; then
        shown=$files
        all=${files#*/} compiled=${files%/*}
        left=$(( (SECONDS - started) * (all - compiled) / (compiled + 1) / 60 + 1 ))
        say "  $files files compiled, about $left min left"
    fi
    sleep 1
done
if ! wait $build; then
    tail -n 30 "$log" >&2
    die "$mmcv could not be built in $("$python" -c 'import sys; print(sys.prefix)'): the compiler's last lines are above."
fi
mv "$new"/*.whl "$wheels/"
echo "$wheels"/*.whl
