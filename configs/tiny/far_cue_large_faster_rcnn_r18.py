# Faster R-CNN, two stages of R18, on far cue with the large mark, 19% of the image.
# The backbone's cells at the squares see none of it: it has to guess.
#
#   tools/data/make_far_cue.py data/far_cue_large --cue large
#   tools/train.py configs/tiny/far_cue_large_faster_rcnn_r18.py

_base_ = [
    '../_base_/faster_rcnn_r18_c3.py',
    'mmdet::_base_/default_runtime.py',
    '../_base_/far_cue_large.py',
]

default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
