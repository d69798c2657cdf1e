# FCN, SE-R50, COCO-Stuff 164k: squeeze and excitation in every block, from MMPretrain's
# ImageNet weights. The backbone has ResNet's plain stem, for which those weights are.
# Baseline: R50 with a deep stem and without SE, configs/fcn_r50_coco-stuff.py.
#
#   tools/dist_train.sh configs/fcn_r50_se_coco-stuff.py 8

_base_ = './fcn_r50_coco-stuff.py'

model = dict(
    pretrained=None,
    backbone=dict(
        type='nlse_mm.SEResNet',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='mmcls://se-resnet50',
            prefix='backbone.')))
