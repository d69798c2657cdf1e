# Six layers of self-attention with 9 heads each, quadratic encoding, after 2 x 2
# down-sampling: the paper's network, narrower, on scikit-learn's handwritten digits.
# Paper, CIFAR-10: 93.8 top-1, as ResNet-18.
#
#   tools/data/make_digits.py data/digits
#   tools/dist_train.sh configs/tiny/sa6_digits.py 2

_base_ = '../_base_/digits.py'

model = dict(
    type='ImageClassifier',
    backbone=dict(type='nlse_mm.SelfAttentionNet', channels=36),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=36,
        loss=dict(type='CrossEntropyLoss')))

# A centre is a position's distance, of a larger scale than a weight.
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(encoding=dict(lr_mult=5, decay_mult=0))))
