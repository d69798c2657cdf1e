# SE-ResNet-101 as the SENet authors published it, ported from Caffe: the stride is in
# the first 1x1 convolution, and the pooling rounds sizes up.
# Images as they were tested with: 256 on the short edge, bilinear.
# Published: 78.37 top-1 (timm, the same weights).
#
#   tools/test.py configs/legacy-se-resnet101_imagenet.py timm://legacy_seresnet101.in1k

_base_ = 'se-resnet101_imagenet.py'

model = dict(backbone=dict(style='caffe', pool_ceil_mode=True))
