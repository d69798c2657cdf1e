# COCO-Stuff 164k: MMSegmentation's data set and pipelines, with the labels checked.

_base_ = 'mmseg::_base_/datasets/coco-stuff164k.py'

crop_size = (512, 512)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='nlse_mm.LoadSegLabels', num_classes=171),
    dict(
        type='RandomResize',
        scale=(2048, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    # After the resizing: scores are counted at the image's own size.
    dict(type='nlse_mm.LoadSegLabels', num_classes=171),
    dict(type='PackSegInputs')
]
# 8 GPUs with 2 images are the 16 of MMSegmentation's 4 GPUs with 4.
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
