# ResNet-18, a quarter as wide, with the stem for small images, on scikit-learn's
# handwritten digits: what sa6_digits is compared with.
# Paper, CIFAR-10: 93.8 top-1, as six layers of self-attention.
#
#   tools/data/make_digits.py data/digits
#   tools/dist_train.sh configs/tiny/resnet18_digits.py 2

_base_ = [
    'mmpretrain::_base_/models/resnet18_cifar.py',
    '../_base_/digits.py',
]

model = dict(
    backbone=dict(stem_channels=16, base_channels=16),
    head=dict(in_channels=128))
