# FCN, R50 at stride 8, COCO-Stuff 164k, 80k steps of 16 crops of 512 x 512: the
# baseline that the plugins are compared with. MMSegmentation has no FCN here; by the
# same recipe it gives 38.80 mIoU for PSPNet and 39.38 for DeepLabV3.
#
#   tools/dist_train.sh configs/fcn_r50_coco-stuff.py 8

_base_ = [
    'mmseg::_base_/models/fcn_r50-d8.py',
    './_base_/coco_stuff164k.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_80k.py',
]

model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=171),
    auxiliary_head=dict(num_classes=171))
