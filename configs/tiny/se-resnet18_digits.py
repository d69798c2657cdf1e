# As resnet18_digits.py, with squeeze and excitation in every block: at the end of its
# branch, before the addition.
#
#   tools/data/make_digits.py data/digits
#   tools/dist_train.sh configs/tiny/se-resnet18_digits.py 2

_base_ = 'resnet18_digits.py'

model = dict(
    backbone=dict(
        type='nlse_mm.WithPlugins',
        base='ResNet_CIFAR',
        plugins=[
            dict(
                cfg=dict(type='nlse_mm.SELayer'),
                after='layer*.*.drop_path',
                in_branch=True)
        ]))
