# C2D, two stages of R18, on far cue video: does the square of the last frames have the
# colour of the one of the first frames? Frames are seen one by one, and their mean
# can't tell. It has to guess, and is right half of the time.
#
#   tools/data/make_far_cue_video.py data/far_cue_video
#   tools/dist_train.sh configs/tiny/far_cue_c2d_r18.py 2

_base_ = [
    'mmaction::_base_/default_runtime.py',
    '../_base_/far_cue_video.py',
]

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='nlse_mm.ResNet3d',
        depth=18,
        num_stages=2,
        spatial_strides=(1, 2),
        temporal_strides=(1, 1),
        dilations=(1, 1),
        out_indices=(1, ),
        base_channels=16,
        inflate=(0, 0),
        conv1_kernel=(1, 7, 7),
        with_pool2=False,
        # Without weights a residual branch that starts at zero takes hundreds of steps
        # to say anything.
        zero_init_residual=False),
    cls_head=dict(
        type='I3DHead',
        num_classes=2,
        in_channels=32,
        dropout_ratio=0,
        topk=(1, ),
        average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW'))
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best=None))
