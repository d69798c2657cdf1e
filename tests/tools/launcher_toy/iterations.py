_base_ = "./config.py"
train_dataloader = dict(sampler=dict(type="InfiniteSampler"))
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=14, val_interval=7)
default_hooks = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3))
log_processor = dict(by_epoch=False)
