# Six layers of self-attention with 9 heads, 400 channels, quadratic encoding, after
# 2 x 2 down-sampling, CIFAR-10, by the recipe of the authors' code: batches of 100,
# 300 epochs, SGD, cosine from 0.1 after 15 epochs of warm-up. Without its dropout of
# 0.1, and without the 1x1 layer that follows the heads' own: 11.1M parameters.
# Paper: 93.8 top-1, 12.1M parameters; ResNet-18 93.8, 11.2M (table 1).
#
#   tools/dist_train.sh configs/sa6_cifar10.py 2

_base_ = [
    'mmpretrain::_base_/datasets/cifar10_bs16.py',
    'mmpretrain::_base_/schedules/cifar10_bs128.py',
    'mmpretrain::_base_/default_runtime.py',
]

model = dict(
    type='ImageClassifier',
    backbone=dict(type='nlse_mm.SelfAttentionNet'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=400,
        loss=dict(type='CrossEntropyLoss')))

train_dataloader = dict(batch_size=50)
# The encodings have no weight decay.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(encoding=dict(decay_mult=0))))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        begin=0,
        end=15,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=15,
        end=300,
        convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=300)
default_hooks = dict(checkpoint=dict(interval=10))
auto_scale_lr = dict(base_batch_size=100)
