# As far_cue_faster_rcnn_r18.py, with squeeze and excitation in every block.
#
#   tools/data/make_far_cue.py data/far_cue
#   tools/train.py configs/tiny/far_cue_faster_rcnn_r18_se.py

_base_ = 'far_cue_faster_rcnn_r18.py'

# Of 32 and 64 channels a sixteenth would be 2 and 4.
model = dict(backbone=dict(type='nlse_mm.SEResNet', reduction=4))
