# sa6_digits with the learned encoding: a number for each row's and column's offset.
# Paper, CIFAR-10: 91.8 top-1 (quadratic: 93.8).
#
#   tools/data/make_digits.py data/digits
#   tools/dist_train.sh configs/tiny/sa6_digits_learned.py 2

_base_ = 'sa6_digits.py'

model = dict(backbone=dict(attention=dict(encoding='learned')))
