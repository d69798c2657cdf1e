"""What is done to a model once its plugins are there, and the plugins after it."""

import copy
import os
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn
from mmengine.model import revert_sync_batchnorm
from plain_models import ENTRIES, Fusible, ResNet, assert_equal, at_work, image, maps
from plugged_models import DOUBLE, NL
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from nlse_mm import add_plugins


def convert_and_back(model):
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert any(isinstance(m, nn.SyncBatchNorm) for m in synced.modules())
    return revert_sync_batchnorm(synced).eval()  # PyTorch 2.1 loses the mode


def load_into_another(model):
    other = at_work(ResNet(maps))
    other.load_state_dict(model.state_dict())
    return other


@pytest.mark.parametrize(
    "change",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        load_into_another,
        convert_and_back,
        fuse_conv_bn,
        lambda model: torch.compile(model, backend="eager", fullgraph=True),
        lambda model: lambda x: checkpoint(model, x, use_reentrant=False),
    ],
    ids=["deepcopy", "pickle", "load", "sync_bn", "fuse", "compile", "checkpoint"],
)
def test_plugins_survive(change):
    model, x = at_work(ResNet(maps)), image()
    expected = model(x)
    for ours, theirs in zip(change(copy.deepcopy(model))(x), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_copy_has_plugins_of_its_own():
    model, x = at_work(ResNet(maps)), image()
    expected = model(x)
    twin = copy.deepcopy(model)
    for plugin in twin.plugin_modules():
        for parameter in plugin.parameters():
            nn.init.zeros_(parameter)
    assert not torch.equal(twin(x)[0], expected[0])
    assert_equal(model(x), expected)


class Guarded(nn.Sequential):
    """Holds what can't be pickled, and leaves it out of its own state."""

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "stream"}


def test_a_models_own_state_is_what_is_pickled():
    model, x = Guarded(Fusible(), nn.ReLU()).eval(), image()
    model.stream = (i for i in range(3))
    add_plugins(model, [dict(cfg=DOUBLE, output=0)], x)
    twin = pickle.loads(pickle.dumps(model))
    assert torch.equal(twin(x), model(x))
    assert not hasattr(twin, "stream")


def test_checkpointing_a_sequence_member_by_member_runs_its_plugin():
    model, x = at_work(ResNet(), [dict(cfg=NL, after="layer1")]), image()
    x = model.maxpool(model.bn1(model.conv1(x))).detach().requires_grad_()
    members = checkpoint_sequential(model.layer1, 2, x, use_reentrant=False)
    assert torch.equal(members, model.layer1(x))
    members.sum().backward()
    (plugin,) = model.plugin_modules()
    assert plugin.conv_out.bn.weight.grad.abs().max() > 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_block_whose_forward_is_replaced_when_it_is_fused_keeps_its_plugin(when):
    model, x = nn.Sequential(Fusible(), nn.Conv2d(8, 4, 1)).eval(), image()
    expected = copy.deepcopy(model)
    if when == "before":
        model[0].fuse()
    add_plugins(model, [dict(cfg=DOUBLE, after="0")], x)
    if when == "after":
        model[0].fuse()
    expected = expected[1](2 * expected[0](x))
    compiled = torch.compile(copy.deepcopy(model), backend="eager", fullgraph=True)
    for fused in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(fused(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-5)


def test_a_wrapped_forward_runs_the_plugin_once():
    model, x = nn.Sequential(Fusible(), nn.ReLU()).eval(), image()
    expected = 4 * model(x)
    add_plugins(model, [dict(cfg=DOUBLE, after="0")], x)
    inner = model[0].forward
    model[0].forward = lambda x: 2 * inner(x)
    assert torch.equal(model(x), expected)


def _train(rank, folder, model, x):
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    wrapped = DistributedDataParallel(model)
    wrapped(x[rank::2]).square().sum().backward()
    if rank == 0:
        torch.save([p.grad for p in model.parameters()], folder / "gradients.pth")
    dist.barrier()
    # Not through the destructors: DDP's waits for Gloo's thread (PyTorch 2.13).
    os._exit(0)


def test_two_processes_average_the_plugins_gradients(tmp_path):
    model, x = at_work(ResNet(), ENTRIES[:3]), torch.rand(4, 3, 64, 96)
    mp.spawn(_train, (Path(tmp_path), copy.deepcopy(model), x), nprocs=2)
    found = torch.load(tmp_path / "gradients.pth")
    for half in (x[::2], x[1::2]):
        (model(half).square().sum() / 2).backward()
    assert any(p.grad.abs().max() > 0 for p in model.plugin_modules()[0].parameters())
    for ours, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-3, atol=1e-4)
