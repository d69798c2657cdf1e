#!/usr/bin/env bash
# Which block sees what lies out of the backbone's reach: the tables of docs/evidence.md.
#
#   tools/far_cue.sh          every block, five seeds
#   tools/far_cue.sh short    the main blocks, one seed
#   tools/far_cue.sh video    clips of MMAction2: C2D, non-local blocks, I3D; five seeds
#
# Draws the data, then trains and evaluates with tools/analysis/compare.py, whose further
# options may follow. Run it again to go on where it was stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh
disc=configs/tiny/far_cue_faster_rcnn_r18
band=configs/tiny/far_cue_large_faster_rcnn_r18
seeds=(0 1 2 3 4)
on_disc=("$disc".py "$disc"_*.py) # the first is what the others are compared to
on_band=("$band".py "$band"_*.py)
if [[ ${1:-} == short ]]; then
    shift
    seeds=(0)
    on_disc=("$disc".py "$disc"_{nl,se,gc}.py)
    on_band=("$band".py "$band"_se.py)
fi

compare() { python tools/analysis/compare.py "$@" --seeds "${seeds[@]}"; }
if [[ ${1:-} == video ]]; then
    shift
    clips=configs/tiny/far_cue_c2d_r18
    on_clips=("$clips".py "$clips"_*.py configs/tiny/far_cue_i3d_r18.py)
    python tools/data/make_far_cue_video.py data/far_cue_video
    compare "${on_clips[@]}" --processes 2 --work-dir work_dirs/far_cue_video "$@"
    exit
fi

python tools/data/make_far_cue.py data/far_cue
python tools/data/make_far_cue.py data/far_cue_large --cue large
compare "${on_disc[@]}" --at-once 2 --work-dir work_dirs/far_cue "$@"
compare "${on_band[@]}" --at-once 2 --work-dir work_dirs/far_cue_large "$@"
