# NLHead, R50, COCO-Stuff 164k: a non-local block between the two convolutions of FCN's
# head, at stride 8.
# Baseline: the same without the block, configs/fcn_r50_coco-stuff.py, and, by the same
# recipe, MMSegmentation's 38.80 mIoU of PSPNet and 39.38 of DeepLabV3.
#
#   tools/dist_train.sh configs/nlhead_r50_coco-stuff.py 8

_base_ = [
    'mmseg::_base_/models/nonlocal_r50-d8.py',
    './_base_/coco_stuff164k.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_80k.py',
]

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(type='nlse_mm.NLHead', num_classes=171),
    auxiliary_head=dict(num_classes=171))
