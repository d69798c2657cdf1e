# Keypoint R-CNN on R50-FPN: Faster R-CNN for one class, with Detectron2's details.

_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    roi_head=dict(
        type='nlse_mm.KeypointRoIHead',
        bbox_head=dict(
            num_classes=1,
            # Plain L1 gives better boxes and worse keypoints (Detectron2).
            loss_bbox=dict(
                _delete_=True, type='SmoothL1Loss', beta=0.5,
                loss_weight=1.0)),
        keypoint_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        keypoint_head=dict(
            type='nlse_mm.KeypointRCNNHead',
            num_keypoints=17,
            num_convs=8,
            in_channels=256,
            conv_out_channels=512)),
    train_cfg=dict(
        # With 1000, one class leaves too few positive proposals (Detectron2).
        rpn_proposal=dict(nms_pre=2000, max_per_img=1500)))
