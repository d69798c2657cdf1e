# As far_cue_c2d_r18.py, with a local 3D network: I3D, every other block inflated. A cell
# of its last map sees six frames to each side, and no more than one of the two squares.
#
#   tools/data/make_far_cue_video.py data/far_cue_video
#   tools/dist_train.sh configs/tiny/far_cue_i3d_r18.py 2

_base_ = 'far_cue_c2d_r18.py'

model = dict(
    backbone=dict(
        inflate=((1, 0), (1, 0)),
        conv1_kernel=(5, 7, 7)))
