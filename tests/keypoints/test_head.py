"""The head's loss, its plugins, and batches without people."""

import io

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from this_pytorch import needs_open_sizes

from nlse_mm.keypoints import KeypointRCNNHead

BLOCK = dict(type="nlse_mm.NonLocal2d", norm_cfg=dict(type="BN"))


def small(**kwargs):
    sizes = dict(num_keypoints=3, num_convs=2, in_channels=4, conv_out_channels=8)
    head = KeypointRCNNHead(**sizes, **kwargs)
    head.init_weights()
    return head


def test_the_loss_is_the_mean_cross_entropy_of_the_valid_keypoints():
    maps = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    cells = torch.randint(0, 64, (5, 3))
    valid = torch.rand(5, 3) < 0.5
    expected = []
    for r in range(5):
        for k in range(3):
            if valid[r, k]:
                p = maps[r, k].flatten().exp()
                expected.append(-(p[cells[r, k]] / p.sum()).log())
    expected = sum(expected) / len(expected)
    found = small().loss(maps, cells, valid)["loss_keypoint"]
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("regions", [0, 2])
def test_without_a_keypoint_every_parameter_gets_a_gradient_of_zero(regions):
    head = small(plugins=[dict(cfg=BLOCK, after_convs=(1,))]).train()
    before = {n: b.clone() for n, b in head.named_buffers()}
    maps = head(torch.rand(regions, 4, 7, 7))
    assert maps.shape == (regions, 3, 28, 28)
    none = torch.zeros(regions, 3)
    loss = head.loss(maps, none.long(), none.bool())["loss_keypoint"]
    loss.backward()
    assert float(loss) == 0
    assert all((p.grad == 0).all() for p in head.parameters())
    for name, buffer in head.named_buffers():
        assert buffer.isfinite().all(), name
        if regions == 0 and "num_batches" not in name:
            assert torch.equal(buffer, before[name]), name


def test_blocks_start_as_the_identity_and_come_after_the_chosen_convolutions():
    plain, plugged = small(), small(plugins=[dict(cfg=BLOCK, after_convs=(0, 1))])
    missing = plugged.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert {name.split(".")[1] for name in missing} == {"after_conv0", "after_conv1"}
    assert all(name.startswith("plugins.") for name in missing)
    x = torch.rand(3, 4, 7, 7)
    assert torch.equal(plain(x), plugged(x))
    for place in plugged.plugins.values():
        place["nonlocal_block"].conv_out.bn.weight.data.fill_(1)
    assert not torch.equal(plain(x), plugged(x))


@pytest.mark.parametrize("bad", [(2,), (-1,)])
def test_after_convs_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match="not in 0 to 1"):
        small(plugins=[dict(cfg=BLOCK, after_convs=bad)])


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (dict(cfg=BLOCK, after_convs=0), "after_convs=0 is not a tuple of integers"),
        (dict(cfg=BLOCK, after_convs=("0",)), "is not a tuple of integers, such as"),
    ],
)
def test_a_wrong_entry_ends_in_a_sentence(entry, sentence):
    with pytest.raises(ValueError, match=rf"^plugins\[0\]: .*{sentence}"):
        small(plugins=[entry])


def test_the_papers_head_has_four_blocks():
    entry = dict(cfg=BLOCK, after_convs=(1, 3, 5, 7))
    config = dict(type="nlse_mm.KeypointRCNNHead", plugins=[entry])
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = MODELS.build(config)
    assert list(head.plugins) == [f"after_conv{i}" for i in (1, 3, 5, 7)]
    assert len(head.convs) == 8


def test_mixed_precision_gives_the_loss_of_full_precision():
    head = small(plugins=[dict(cfg=BLOCK, after_convs=(1,))])
    x, cells = torch.rand(3, 4, 7, 7), torch.randint(0, 28 * 28, (3, 3))
    valid = torch.ones(3, 3, dtype=torch.bool)
    full = head.loss(head(x), cells, valid)["loss_keypoint"]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head.loss(head(x), cells, valid)["loss_keypoint"]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, full, rtol=0.02, atol=0.02)
    mixed.backward()
    assert all(p.grad.isfinite().all() for p in head.parameters())


@needs_open_sizes
def test_onnx_gives_the_same_for_any_number_of_regions():
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    head = small(plugins=[dict(cfg=BLOCK, after_convs=(0, 1))]).eval()
    for place in head.plugins.values():
        place["nonlocal_block"].conv_out.bn.weight.data.fill_(1)
    file = io.BytesIO()
    torch.onnx.export(
        head,
        (torch.randn(2, 4, 14, 14),),
        file,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("regions", min=1)},),
        input_names=["x"],
        output_names=["maps"],
    )
    session = runtime.InferenceSession(
        file.getvalue(), providers=["CPUExecutionProvider"]
    )
    x = torch.randn(5, 4, 14, 14)
    (maps,) = session.run(None, {"x": x.numpy()})
    assert maps.shape == (5, 3, 56, 56)
    torch.testing.assert_close(torch.from_numpy(maps), head(x), rtol=1e-4, atol=1e-4)
