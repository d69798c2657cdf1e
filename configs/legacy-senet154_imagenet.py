# SENet-154 as the SENet authors published it, ported from Caffe: the pooling rounds
# sizes up.
# Images as they were tested with: 256 on the short edge, bilinear.
# Published: 81.32 top-1 (timm, the same weights).
#
#   tools/test.py configs/legacy-senet154_imagenet.py timm://legacy_senet154.in1k

_base_ = 'se-resnext50_imagenet.py'

model = dict(
    backbone=dict(_delete_=True, type='nlse_mm.SENet', pool_ceil_mode=True))
