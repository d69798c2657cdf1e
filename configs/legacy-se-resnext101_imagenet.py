# SE-ResNeXt-101 32x4d as the SENet authors published it, ported from Caffe: the pooling
# rounds sizes up.
# Images as they were tested with: 256 on the short edge, bilinear.
# Published: 80.27 top-1 (timm, the same weights).
#
#   tools/test.py configs/legacy-se-resnext101_imagenet.py timm://legacy_seresnext101_32x4d.in1k

_base_ = 'legacy-se-resnext50_imagenet.py'

model = dict(backbone=dict(depth=101))
