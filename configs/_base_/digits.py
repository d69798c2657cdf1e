# The handwritten digits that tools/data/make_digits.py writes, 8 x 8 pixels, and a
# schedule for them: minutes on two CPU cores, from random weights.

_base_ = 'mmpretrain::_base_/default_runtime.py'

data_root = 'data/digits/'
data_preprocessor = dict(
    num_classes=10,
    mean=[77.8, 77.8, 77.8],
    std=[95.9, 95.9, 95.9],
    to_rgb=False)  # grey

# No random shifts: a pixel is an eighth of the image, and half of a position of the map
# of self-attention.
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=16,  # of each of two processes
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=pipeline))
val_dataloader = dict(
    batch_size=60,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='test',
        pipeline=pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=24, val_interval=8)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=24,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=8))
randomness = dict(seed=0)
