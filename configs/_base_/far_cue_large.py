# As far_cue.py, with the large mark: make_far_cue.py data/far_cue_large --cue large.

_base_ = 'far_cue.py'

data_root = 'data/far_cue_large/'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = [
    dict(
        type='CocoMetric',
        ann_file=data_root + 'annotations/instances_val2017.json',
        metric='bbox'),
    dict(type='nlse_mm.MatchedClassAccuracy')
]
test_evaluator = val_evaluator
