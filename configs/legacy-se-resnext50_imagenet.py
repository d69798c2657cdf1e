# SE-ResNeXt-50 32x4d as the SENet authors published it, ported from Caffe: the pooling
# rounds sizes up.
# Images as they were tested with: 256 on the short edge, bilinear.
# Published: 79.08 top-1 (timm, the same weights).
#
#   tools/test.py configs/legacy-se-resnext50_imagenet.py timm://legacy_seresnext50_32x4d.in1k

_base_ = 'se-resnext50_imagenet.py'

model = dict(backbone=dict(pool_ceil_mode=True))
