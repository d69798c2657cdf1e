_base_ = "./config.py"
plugin = dict(type="nlse_mm.NonLocal2d", norm_cfg=dict(type="BN"))
model = dict(
    _delete_=True,
    type="ToyPyramid",
    backbone=dict(
        type="nlse_mm.WithPlugins",
        base="mmdet.ResNet",
        depth=18,
        base_channels=8,
        plugins=[dict(cfg=plugin, output=0), dict(cfg=plugin, output=3)],
    ),
)
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = None
test_cfg = None
test_evaluator = None
