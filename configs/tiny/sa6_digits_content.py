# sa6_digits with the learned encoding and products of queries and keys.
# Paper, CIFAR-10: 87.1 top-1 (learned without them: 91.8).
#
#   tools/data/make_digits.py data/digits
#   tools/dist_train.sh configs/tiny/sa6_digits_content.py 2

_base_ = 'sa6_digits.py'

model = dict(
    backbone=dict(attention=dict(encoding='learned', content=True)))
