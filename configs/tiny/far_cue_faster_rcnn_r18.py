# Faster R-CNN, two stages of R18, on far cue: a class that only a mark can tell, too
# far away for the backbone. It has to guess, and is right half of the time.
#
#   tools/data/make_far_cue.py data/far_cue
#   tools/train.py configs/tiny/far_cue_faster_rcnn_r18.py

_base_ = [
    '../_base_/faster_rcnn_r18_c3.py',
    'mmdet::_base_/default_runtime.py',
    '../_base_/far_cue.py',
]

default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
