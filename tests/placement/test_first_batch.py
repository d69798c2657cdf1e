"""One line in the log says what a model's first batch saves."""

import copy
import io
import logging
import pickle

import pytest
import torch
from mmcv.cnn import NonLocal2d
from stock_blocks import CLASSES, SIZES, Model, each_mode, image
from torch import nn

from nlse_mm.errors import ConfigError
from nlse_mm.placement.linear_non_local import use_linear_non_local

P = 63  # positions of the image
NUMBERS = {
    "embedded_gaussian": 2 * P * P,
    "gaussian": 2 * P * P,
    "dot_product": 2 * P * P,
    "concatenation": 2 * P * P * (2 * 3 + 1),
}


@each_mode
@pytest.mark.parametrize("training", [True, False])
def test_one_line_says_what_the_first_batch_saves(mode, training, conversion_log):
    model = nn.Sequential(*(Model(NonLocal2d(6, mode=mode)) for _ in range(2)))
    model[0].head = nn.Conv2d(6, 3, 1)
    half = NonLocal2d(6, mode=mode, sub_sample=True)  # 4 x 3 of 9 x 7 positions
    model[1].block.sub_sample, model[1].block = True, half
    use_linear_non_local(model)
    with torch.set_grad_enabled(training):
        model(image()), model(image())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    first, second = NUMBERS[mode], NUMBERS[mode] * 12 // P
    number = 4 * (first + second if training else first)
    kept = ", kept for the backward pass" if training else ""
    assert conversion_log == [
        (
            logging.INFO,
            "MMCV's non-local blocks that compute in linear memory: 2; saved in the "
            f"first batch: {number / 2**20:,.1f} MiB of P x Q weights{kept}",
        )
    ]


@pytest.mark.parametrize(
    ("dims", "keys"), [(1, 7), (2, 4 * 3), (3, 3 * 3 * 2)], ids=str
)
def test_the_size_is_that_of_the_weights_which_mmcv_stores(dims, keys, conversion_log):
    model = Model(CLASSES[dims](6, sub_sample=True), dims)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(tuple(t.shape)) or t, lambda t: t
    ):
        model(image(dims))
    queries = torch.Size(SIZES[dims][2:]).numel()
    assert (2, queries, keys) in kept
    use_linear_non_local(model)
    (hook,) = model.block._forward_pre_hooks.values()
    model(image(dims))
    assert hook.__self__.stored == [2 * queries * keys * 4]


def test_autocast_halves_the_size(conversion_log):
    model = Model(NonLocal2d(6))
    use_linear_non_local(model)
    (hook,) = model.block._forward_pre_hooks.values()
    with torch.autocast("cpu", torch.bfloat16):
        model(image())
    assert hook.__self__.stored == [2 * P * P * 2]


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


@pytest.mark.parametrize("again", [copy.deepcopy, pickled, saved])
@pytest.mark.parametrize("batches", [0, 1])
def test_copies_compute_the_same_and_log_their_own_first_batch(
    again, batches, conversion_log
):
    model = Model(NonLocal2d(6))
    use_linear_non_local(model)
    for _ in range(batches):
        model(image())
    other = again(model)
    assert type(other.block) is type(model.block)
    assert torch.equal(other(image()), model(image()))
    assert not other.block._forward_pre_hooks
    assert len(conversion_log) == 2 - batches


def test_a_batch_that_failed_is_not_counted(conversion_log):
    model = Model(NonLocal2d(6))
    use_linear_non_local(model)
    head, model.head = model.head, None
    for _ in range(2):
        with pytest.raises(TypeError):
            model(image())
    model.head = head
    (hook,) = model.block._forward_pre_hooks.values()
    model(image())
    assert hook.__self__.stored == [2 * P * P * 4]
    assert len(conversion_log) == 1


@pytest.mark.parametrize("model", [3, None, [nn.Linear(1, 1)]], ids=str)
def test_what_is_no_model_is_a_sentence(model):
    with pytest.raises(ConfigError, match="not an nn"):
        use_linear_non_local(model)
