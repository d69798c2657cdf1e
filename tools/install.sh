#!/usr/bin/env bash
# Install nlse_mm and what its tests need. Running it again is free.
#
#   tools/install.sh
#   STACK=oldest tools/install.sh           a stack of its own: oldest, default, newest, onedl
#   PYTHON=python3.12 tools/install.sh      another Python, 3.10 to 3.12
#   TORCH=2.8.0 tools/install.sh            another PyTorch in a new environment
#   EXTRAS=video tools/install.sh           MMAction2 as well, but not the OpenCV it asks for
#   EXTRAS=classification tools/install.sh  MMPretrain as well, and the torchvision it imports
#   EXTRAS="video classification" tools/install.sh
#
# Later runs keep EXTRAS, TORCH, and operators for CUDA, until TORCH= or FORCE_CUDA=0 is said.
#
# An active environment that has PyTorch keeps it, its MMCV, and all else that is there,
# unless this script has put it there: it gets what is missing. Any other gets the pinned stack of requirements.txt; where
# none is active, in .venv, which is made. STACK=NAME makes .venv-NAME of
# requirements-NAME.txt, whatever is active. MMCV is compiled where it is missing, once
# (tools/build_mmcv.sh, which says how to have its operators for CUDA).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m[install]\033[0m %s\n' "$*"; }
die() { printf '[install] %s\n' "$*" >&2; exit 1; }

# The project's own environments stay what they were made as.
if [[ -z ${STACK:-} && ${VIRTUAL_ENV:-} == "$PWD"/.venv-@(oldest|newest|onedl) ]]; then STACK=${VIRTUAL_ENV##*/.venv-}; fi
stack=${STACK:-default}
case $stack in
    default) pins=requirements.txt venv=$PWD/.venv ;;
    oldest | newest | onedl) pins=requirements-$stack.txt venv=$PWD/.venv-$stack ;;
    *) die "STACK=$stack is not one of oldest, default, newest and onedl." ;;
esac
highest=12 pythons="Python 3.10 to 3.12"
if [[ $stack == oldest ]]; then
    highest=11 pythons="Python 3.10 or 3.11 for STACK=oldest"
fi
for extra in ${EXTRAS:-}; do
    [[ $extra == @(video|classification) ]] ||
        die "EXTRAS=$EXTRAS is not video, classification or both, as in EXTRAS='video classification'."
done
sorted() { xargs -n 1 <<< "$1" | sort -u | paste -sd ' '; }
[[ -z ${EXTRAS:-} ]] || EXTRAS=$(sorted "$EXTRAS")
no_extras="MMAction2 refuses OneDL's MMCV, and OneDL has an MMPretrain of its own, onedl-mmpretrain: leave EXTRAS=${EXTRAS:-} out, or take another environment."
[[ $stack != onedl || -z ${EXTRAS:-} ]] || die "$no_extras"
in_range() { "$1" -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, $highest + 1))" 2> /dev/null; }

# The Python to use: an active environment's, the project's, or a new one's.
active=
if [[ -z ${STACK:-} && ( -n ${VIRTUAL_ENV:-} || ( -n ${CONDA_PREFIX:-} && ${CONDA_DEFAULT_ENV:-} != base ) ) ]]; then
    python=$(command -v python) || die "The active environment has no python."
    active=yes
elif [[ -x $venv/bin/python ]]; then
    python=$venv/bin/python
else
    base=
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if in_range "$candidate"; then base=$candidate; break; fi
    done
    [[ -n $base ]] || die "nlse_mm needs $pythons, and '${PYTHON:-python3}' is" \
        "$("${PYTHON:-python3}" --version 2>&1 || echo missing): install one of these and name it, as in" \
        "PYTHON=python3.$highest tools/install.sh."
    "$base" -c 'import ensurepip, venv' 2> /dev/null ||
        die "Python's venv module is missing ('$base -m venv'): on Debian and Ubuntu, install python3-venv."
    say "making ${venv#"$PWD"/} with $("$base" --version)"
    "$base" -m venv "$venv"
    python=$venv/bin/python
fi
in_range "$python" ||
    die "nlse_mm needs $pythons, and the environment's is $("$python" --version 2>&1): activate another one," \
        "or deactivate it and let this script make one."
prefix=$("$python" -c 'import sys; print(sys.prefix)')

# What this environment was made as; of one that was interrupted, what it was to become.
done_file=$prefix/nlse_mm-installed begun_file=$prefix/nlse_mm-installing
recorded=$(cat "$begun_file" "$done_file" 2> /dev/null || true)
remembered() { sed -n "/.*, $1 \([^,]*\), .*/ { s//\1/p; q; }" <<< "$recorded"; }
if [[ -z ${TORCH+set} ]]; then
    TORCH=$(remembered PyTorch)
    TORCH=${TORCH#as pinned}
fi
if [[ -z ${EXTRAS+set} ]]; then
    EXTRAS=$(remembered extras)
    EXTRAS=${EXTRAS#none}
fi
# Installed without what they ask for.
alone=() extra_files=()
for extra in $EXTRAS; do extra_files+=("requirements-$extra.txt"); done
if [[ -n $EXTRAS ]]; then mapfile -t alone < <(grep -h == "${extra_files[@]}" | sort -u); fi
# MMPretrain imports it without asking for it; pip takes the release for the PyTorch that is there.
vision=
if [[ $EXTRAS == *classification* ]]; then vision=torchvision; fi
check_vision() {
    [[ -n $vision ]] || return 0
    if "$python" -c 'import torchvision' 2> "$work/error"; then return 0; fi
    # timm and others import whatever torchvision is there.
    grep -q '^torchvision==' "$work/before" || "$python" -m pip uninstall --quiet --yes torchvision
    die "torchvision can't be imported beside the PyTorch of $prefix ($(tail -n 1 "$work/error")), and MMPretrain needs it:" \
        "install torchvision's build for the same device from where that PyTorch came from, and run again." \
        "STACK=newest tools/install.sh makes an environment that has both, and MMPretrain."
}
# The devices of MMCV's operators. Those for CUDA stay where no GPU is seen, and come
# where one has come, unless the CPU was asked for.
devices=$(remembered 'MMCV for')
case ${FORCE_CUDA:-} in
    1) [[ $devices == cuda* ]] || devices=cuda ;;
    '') if [[ $devices == cpu ]] && command -v nvidia-smi > /dev/null && "$python" -c '
import sys, torch
from torch.utils.cpp_extension import CUDA_HOME
sys.exit(not (torch.cuda.is_available() and torch.version.cuda and CUDA_HOME))' 2> /dev/null; then devices=cuda; fi ;;
    *) devices="cpu alone" ;;
esac
if [[ $devices == cuda* ]]; then
    export FORCE_CUDA=1
    if [[ -n ${TORCH_CUDA_ARCH_LIST:-} ]]; then
        devices=cuda-${TORCH_CUDA_ARCH_LIST//[; ]/_}
    elif [[ $devices == cuda-* ]]; then
        cards=${devices#cuda-}
        export TORCH_CUDA_ARCH_LIST=${cards//_/;}
    fi
elif [[ $devices == "cpu alone" ]]; then
    export FORCE_CUDA=0
fi
sum=$(cat "$pins" "${extra_files[@]}" setup.py tools/install.sh tools/build_mmcv.sh | cksum)
state() { echo "$stack in $PWD, PyTorch ${TORCH:-as pinned}, MMCV for $devices, extras ${EXTRAS:-none}, $sum"; }
if [[ -f $done_file && ! -e $begun_file && $(< "$done_file") == "$(state)" ]]; then
    say "up to date in $prefix"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip_install() {
    "$python" -m pip install --quiet --disable-pip-version-check --constraint "$work/constraints" "$@" ||
        die "pip could not install '$*': its last lines above say why. Without a network, nothing can be installed."
}
install_mmcv() { # DISTRIBUTION==VERSION [PIP_OPTION...]
    local wheel built='-(cpu|cuda-[^/]*)-c\+\+[0-9]+/'
    wheel=$(tools/build_mmcv.sh "$python" "$1") || exit 1
    if [[ $devices != "cpu alone" && $wheel =~ $built ]]; then devices=${BASH_REMATCH[1]}; fi
    pip_install "${@:2}" "$wheel"
}
pin() { grep -oE "^$1==[^; ]+" "$pins"; }
# What is installed, one NAME==VERSION a line; nlse_mm, which comes and goes, left out.
packages() {
    "$python" -c '
from importlib.metadata import distributions
names = {one.name.lower().replace("_", "-"): one.version for one in distributions() if one.name}
print(*sorted(f"{name}=={names[name]}" for name in names if name != "nlse-mm"), sep="\n")'
}

packages > "$work/before"
torch=$(sed -n 's/^torch==//p' "$work/before")
if [[ -n $active && -n $torch && $prefix != "$venv" && -z $recorded ]]; then
    [[ -z ${TORCH:-} ]] ||
        die "TORCH=$TORCH is for a new environment, and PyTorch $torch of $prefix stays: leave TORCH out, or deactivate the environment."
    older() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }
    ! older "$torch" 2.1 ||
        die "nlse_mm needs PyTorch 2.1 or newer, and $prefix has $torch: deactivate the environment and let this script make one."
    has() { grep -qE "^($1)==" "$work/before"; }
    wrong=
    while IFS='=' read -r name _ version; do
        least=
        case $name in
            mmcv-full) wrong+=" $name==$version" ;;
            mmcv | mmcv-lite | onedl-mmcv) least=2.1 ;;
            mmdet | onedl-mmdetection) least=3.3 ;;
            mmsegmentation | onedl-mmsegmentation) least=1.2.2 ;;
        esac
        if [[ -n $least ]] && older "$version" $least; then wrong+=" $name==$version"; fi
    done < "$work/before"
    for name in mmengine mmcv mmdet mmsegmentation mmpretrain mmaction2; do
        both=$(grep -E "^(onedl-)?$name(ection)?==" "$work/before" | paste -sd ' ' || true)
        if [[ $both == *' '* ]]; then wrong+=" $both"; fi
    done
    [[ -z $wrong ]] ||
        die "nlse_mm needs mmcv 2.1, mmdet 3.3 and mmsegmentation 1.2.2 or newer, and of each package either OpenMMLab's or the onedl one," \
            "and $prefix has$wrong: change that, or deactivate the environment and let this script make one."
    # pip refuses a file with versions that Python's rules don't have, such as Debian's.
    grep -iE '==v?([0-9]+!)?[0-9]+(\.[0-9]+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?(-[0-9]+|[-_.]?(post|rev|r)[-_.]?[0-9]*)?([-_.]?dev[-_.]?[0-9]*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?$' \
        "$work/before" > "$work/constraints"
    fork=
    if has 'onedl-mm(engine|cv)'; then fork=onedl- pins=requirements-onedl.txt; fi
    [[ -z $fork || -z $EXTRAS ]] || die "$no_extras"
    missing=()
    for name in pytest pytest-xdist $vision; do has $name || missing+=("$name"); done
    if ! has '(onedl-)?mm(det|detection|segmentation|pretrain|action2)'; then
        missing+=($(pin "${fork}mmdet(ection)?") $(pin ${fork}mmsegmentation))
    fi
    if has '(onedl-)?mmsegmentation' || [[ ${missing[*]-} == *mmsegmentation* ]]; then
        for name in ftfy regex; do has $name || missing+=("$name"); done
    fi
    if [[ -n $vision ]]; then has scipy || missing+=(scipy); fi # scikit-learn's
    wanted=("${alone[@]}") alone=()
    for name in "${wanted[@]}"; do has "${name%%==*}" || alone+=("$name"); done
    ours=$(cd / && "$python" -c 'import importlib.util as i; s = i.find_spec("nlse_mm"); print(s and s.origin)')
    if has '(onedl-)?mmcv' && [[ ${#missing[@]} == 0 && ${#alone[@]} == 0 && $ours == "$PWD/nlse_mm/__init__.py" ]]; then
        say "up to date in $prefix"
        exit 0
    fi

    found=$(grep -E '^(torch|numpy|(onedl-)?mm[a-z0-9-]+)==' "$work/before" | paste -sd ' ')
    say "found in $prefix, where it stays: $found"
    if has '(onedl-)?mmcv(-lite)?'; then
        "$python" -c 'import mmcv' 2> "$work/error" ||
            die "mmcv in $prefix can't be imported ($(tail -n 1 "$work/error")): mend it, or deactivate the environment and let this script make one."
        "$python" -c 'import mmcv._ext' 2> "$work/error" ||
            die "mmcv in $prefix has no compiled operators that its PyTorch loads ($(tail -n 1 "$work/error"))," \
                "and the toolboxes need them: uninstall it and run again, so that it is compiled."
    else
        tools=()
        for name in ninja psutil wheel; do has $name || tools+=("$name"); done
        has setuptools || tools+=('setuptools<81')
        [[ ${#tools[@]} == 0 ]] || pip_install "${tools[@]}"
        install_mmcv "$(pin ${fork}mmcv)"
    fi
    [[ ${#missing[@]} == 0 ]] || pip_install "${missing[@]}"
    check_vision
    [[ ${#alone[@]} == 0 ]] || pip_install --no-deps "${alone[@]}"
    isolation=
    if has setuptools && has wheel; then isolation=--no-build-isolation; fi
    pip_install $isolation --no-deps --editable .
    packages > "$work/after"
    export LC_ALL=C # as Python sorts
    moved=$(comm -23 "$work/before" "$work/after" | paste -sd ' ')
    [[ -z $moved ]] || die "pip replaced $moved in $prefix, which it had been told to keep: install these again."
    say "added: nlse_mm $(comm -13 "$work/before" "$work/after" | paste -sd ' ')"
    exit 0
fi

needed_gib=6
free_gib=$(( $(df -Pk "$prefix" | awk 'NR == 2 { print $4 }') / 1048576 ))
(( free_gib >= needed_gib )) ||
    die "The disk of $prefix has $free_gib GiB left, and the installation needs $needed_gib GiB: make room and run again."

# TORCH replaces one line of the pins, and drops the torchvision built for that one. The
# last section, if so named, is installed without what it asks for.
if [[ -n ${TORCH:-} ]]; then
    sed "s/^torch==.*/torch==$TORCH/; /^torchvision==/d" "$pins" > "$work/constraints"
else
    cp "$pins" "$work/constraints"
fi
sed '/^# Without their dependencies/,$d' "$work/constraints" > "$work/all"
mapfile -t -O "${#alone[@]}" alone < <(sed -n '/^# Without their dependencies/,$p' "$work/constraints" | grep == || true)

# PyTorch that is found beside this file isn't the user's own.
state > "$begun_file"
say "PyTorch and the tools that build MMCV"
pip_install setuptools wheel ninja psutil torch numpy ${vision:-$(grep -oE '^torchvision' "$work/all" || true)}
check_vision
# An MMCV of this version may be there that was built for another PyTorch.
install_mmcv "$(pin '(onedl-)?mmcv')" --no-deps --force-reinstall
say "OpenMMLab, nlse_mm and the test tools"
pip_install --no-build-isolation --requirement "$work/all"
[[ ${#alone[@]} == 0 ]] || pip_install --no-deps "${alone[@]}"
pip_install --no-build-isolation --no-deps --editable .
"$python" -c 'import mmcv._ext, mmdet, mmseg' 2> "$work/error" ||
    { cat "$work/error" >&2; die "The installed packages can't be imported: the reason is above."; }
state > "$done_file"
rm "$begun_file"
say "done: $("$python" -c '
import mmcv, mmdet, mmengine, mmseg, torch
print(f"PyTorch {torch.__version__}, MMEngine {mmengine.__version__}, MMCV {mmcv.__version__}, "
      f"MMDetection {mmdet.__version__}, MMSegmentation {mmseg.__version__}")' 2> /dev/null) in $prefix"
