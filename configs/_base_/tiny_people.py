# The stick figures that tools/data/make_tiny_people.py makes, and a schedule for them:
# minutes on two CPU cores, from random weights.

data_root = 'data/tiny_people/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='nlse_mm.LoadKeypoints', with_bbox=True),
    dict(type='nlse_mm.FlipKeypoints', prob=0.5),
    dict(type='nlse_mm.PackKeypoints')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='nlse_mm.ResizeKeypoints', scale=(192, 160), keep_ratio=True),
    dict(type='nlse_mm.LoadKeypoints', with_bbox=True),
    dict(
        type='nlse_mm.PackKeypoints',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='nlse_mm.CocoKeypointDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_keypoints=1),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='nlse_mm.CocoKeypointDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='nlse_mm.CocoKeypointMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    metric=['bbox', 'keypoints'])
test_evaluator = val_evaluator

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', begin=0, T_max=4, convert_to_iter_based=True)
]
