# As mask_rcnn_r50.py, with the 3x3 convolutions of res5 replaced by self-attention: 9
# heads, as many as such a kernel has places, which start at random offsets. Baseline:
# MMDetection's 38.2 / 34.7, which has trained convolutions there.
#
#   tools/dist_train.sh configs/mask_rcnn_r50_sa_res5.py 8

_base_ = 'mask_rcnn_r50.py'

model = dict(
    backbone=dict(
        dcn=dict(type='nlse_mm.SelfAttention2d'),
        stage_with_dcn=(False, False, False, True)))
