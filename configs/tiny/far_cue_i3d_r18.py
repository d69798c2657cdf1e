# As far_cue_c2d_r18.py, with a local 3D network: I3D, every other block inflated. Cells
# of its last map see six frames to each side, and none sees more than one square.
#
#   tools/data/make_far_cue_video.py data/far_cue_video
#   tools/dist_train.sh configs/tiny/far_cue_i3d_r18.py 2

_base_ = 'far_cue_c2d_r18.py'

model = dict(
    backbone=dict(
        inflate=((1, 0), (1, 0)),
        conv1_kernel=(5, 7, 7)))
