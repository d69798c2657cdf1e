custom_imports = dict(imports=["toy"])
default_scope = "mmengine"
model = dict(type="ToyModel")
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="ToyImages", length=12, augment=True),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ToyImages", length=4, augment=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="ToyMetric")
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=3)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.02, momentum=0.9))
param_scheduler = dict(type="LinearLR", by_epoch=False, begin=0, end=12)
default_hooks = dict(logger=dict(type="LoggerHook", interval=100))
