"""What every plugin promises, asked of every plugin that is registered.

Which those are, and their forms, says ``forms.py``; a new plugin is among them.

Shapes: N batch, C channels, * one to three spatial dimensions, h heads, P queries,
Q keys.
"""

import copy
import inspect
import io
import os
import pickle
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from forms import FORMS, FURTHER, SLOW, C, Form, promise, registered_plugins
from mmengine.model import BaseModule
from precision import precision
from this_pytorch import half_dtypes, needs_open_sizes
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS

LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}
# The arguments that make a plugin start as the identity, where it isn't one without.
ZERO_INIT = ("zero_init", "zeros_init")
CLOSE = dict(rtol=1e-4, atol=1e-5)
F64 = dict(dtype=torch.float64)
# How far a result may be from that in double precision, in shares of its norm.
ALLOWED = dict(fp32=1e-5, tf32=0.05, bf16=0.05, fp16=0.05)
# The same for gradients behind max pooling: in 16 bits, in which another position may
# be the largest of a window, that one gets them.
POOLED = {**ALLOWED, "tf32": 0.25, "bf16": 0.25, "fp16": 0.25}


def run(block: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return the output, and the gradients of the input and the parameters."""
    x = x.detach().clone().requires_grad_()
    block.zero_grad()
    out = block(x)
    (out * slope_of(out)).sum().backward()
    gradients = {n: p.grad.clone() for n, p in block.named_parameters()}
    return {"output": out.detach(), "input": x.grad, **gradients}


def slope_of(out: Tensor) -> Tensor:
    """Return a gradient of the output that differs everywhere."""
    slope = torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device)
    return slope.view(out.shape)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for value, (name, wanted) in zip(found.values(), expected.items(), strict=True):
        torch.testing.assert_close(
            value, wanted, **CLOSE, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_the_rule_finds_what_the_package_has():
    names = {cls.__name__ for cls in registered_plugins()}
    assert FURTHER.keys() <= names
    assert not names & {"ResNet", "KeypointRCNNHead", "NLHead", "WithPlugins"}


@promise()
def test_the_shape_stays_and_images_of_a_batch_do_not_mix(form):
    block = form.at_work()
    for x in form.inputs():
        out = block(x)
        assert out.shape == x.shape
        assert not torch.allclose(out, x)
        for image, expected in zip(x, out, strict=True):
            torch.testing.assert_close(block(image[None])[0], expected, **CLOSE)


@promise()
def test_an_empty_batch_goes_through(form):
    for x in form.inputs():
        found = run(form.at_work(), x[:0])
        assert found["output"].shape == x[:0].shape
        assert not any(value.any() for value in found.values())


@promise()
def test_it_starts_as_the_identity_whatever_holds_it_and_learns(form):
    known = inspect.signature(form.cls).parameters
    block = form.new(**{name: True for name in ZERO_INIT if name in known})
    layers = ["Conv1d", "Conv2d", "Conv3d", "Linear"]
    holder = BaseModule([dict(type="Normal", layer=layers, std=9.0, bias=9.0)])
    holder.block = block
    for start in (lambda: None, holder.init_weights):
        start()
        for x in form.inputs():
            for train in (True, False):
                assert torch.equal(block.train(train)(x), x)
    block(x).square().sum().backward()
    reached = [p for p in block.parameters() if p.grad is not None]
    assert any(p.grad.any() for p in reached)


@promise()
def test_autocast_is_close_to_single_precision(form):
    block = form.at_work()
    for x in form.inputs():
        expected = split(run(block, x))
        for dtype in half_dtypes(form.device):
            with torch.autocast(form.device, dtype):
                found = split(run(block, x))
                # As behind a convolution, whose output is in half precision.
                half = block(x.to(dtype)).flatten()
            assert_near((*found, half), (*expected, expected[0]), form, "bf16")


def assert_near(
    found: tuple[Tensor, ...], expected: tuple[Tensor, ...], form: Form, precision: str
) -> None:
    """Compare an output, gradients, and further outputs."""
    pooled = POOLED if form.kwargs.get("sub_sample") else ALLOWED
    for i, (value, wanted) in enumerate(zip(found, expected, strict=True)):
        allowed = (pooled if i == 1 else ALLOWED)[precision]
        error = (value.to(wanted) - wanted).norm()
        assert error <= allowed * wanted.norm(), precision


def split(found: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the output and, in one vector, all gradients."""
    output, *gradients = (value.flatten() for value in found.values())
    return output, torch.cat(gradients)


@promise(devices=("cuda",))
def test_a_gpu_computes_what_a_cpu_does_in_every_precision(form):
    block = form.at_work()
    exact = copy.deepcopy(block).to("cpu", torch.float64)
    for x in form.inputs():
        expected = split(run(exact, x.to("cpu", torch.float64)))
        for name in ALLOWED:
            with precision(name, form.device):
                found = split(run(block, x))
            assert_near(found, expected, form, name)


@promise()
def test_copies_and_pickles_compute_the_same(form):
    block = form.at_work()
    for again in (copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))):
        for x in form.inputs():
            assert torch.equal(again(block)(x), block(x))


@promise()
def test_gradient_checkpointing_changes_no_gradient(form):
    block = form.at_work().double()
    x = next(form.inputs(**F64))
    expected = run(block, x)
    for reentrant in (False, True):
        block.zero_grad()
        given = x.clone().requires_grad_()
        out = checkpoint(block, given, use_reentrant=reentrant)
        (out * slope_of(out)).sum().backward()
        gradients = {n: p.grad for n, p in block.named_parameters()}
        assert_same({"output": out, "input": given.grad, **gradients}, expected)


@promise()
def test_a_hook_on_any_part_fires_and_the_values_stay(form):
    x = next(form.inputs(**F64))
    for train in (True, False):
        block = form.at_work().double().train(train)
        expected = run(block, x)
        for name, part in block.named_modules():
            if type(part).forward is nn.Module.forward:
                continue  # it only holds parameters: nothing calls it
            fired = []
            handle = part.register_forward_hook(lambda *_, f=fired: f.append(1))
            assert_same(run(block, x), expected)
            handle.remove()
            assert fired, f"the hook on {name or 'the block'} doesn't fire"


@promise(lambda form: form.dims in LAYOUTS)
def test_channels_last_stays_channels_last(form):
    last = LAYOUTS[form.dims]
    for state in ("train", "eval", "hooked", "autocast"):
        block = form.at_work().train(state == "train")
        for module in block.modules() if state == "hooked" else ():
            module.register_forward_hook(lambda *_: None)
        plain = next(form.inputs())
        results = []
        for layout in (torch.contiguous_format, last):
            x = plain.detach().to(memory_format=layout).requires_grad_()
            inside, seen = x * 1.0, []
            inside.register_hook(seen.append)
            is_half = state == "autocast"
            with torch.autocast(form.device, torch.bfloat16, enabled=is_half):
                out = block(inside)
            assert out.is_contiguous(memory_format=layout), state
            out.backward(slope_of(out).to(memory_format=layout))
            assert seen[0].is_contiguous(memory_format=layout), state
            with torch.no_grad():
                assert block(x).is_contiguous(memory_format=layout), state
            results.append([out, x.grad, *(p.grad for p in block.parameters())])
            block.zero_grad()
        tolerance = 0.1 if state == "autocast" else 1e-4
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@promise(lambda form: hasattr(form.cls, "attention"))
def test_attention_is_what_the_output_is_made_of(form):
    block = form.at_work().double()
    for x in form.inputs(**F64):
        rows = block.attention(x)
        queries = x[0, 0].numel()
        assert rows.ndim == 4
        assert (rows.shape[0], rows.shape[2]) == (len(x), queries)
        some = torch.tensor([queries - 1, 0, queries // 2], device=x.device)
        torch.testing.assert_close(block.attention(x, some), rows[:, :, some])
        if form.softmax:
            assert rows.min() >= 0
            torch.testing.assert_close(rows.sum(3), torch.ones_like(rows[..., 0]))
        if form.mix is not None:
            torch.testing.assert_close(block(x), form.mix(block, x, rows))


@promise(lambda form: hasattr(form.cls, "excitation"))
def test_the_excitation_is_what_scales_the_channels(form):
    block = form.at_work().double()
    for x in form.inputs(**F64):
        gate = block.excitation(x)
        assert gate.shape == x.shape[:2]
        torch.testing.assert_close(block(x), x * gate[(..., *[None] * form.dims)])


@promise(forms=SLOW)
def test_it_compiles_whole(form):
    torch._dynamo.reset()
    block = form.at_work().double()
    # PyTorch 2.1 breaks some graphs, and has to compute the same all the same.
    compiled = torch.compile(block, fullgraph=HAS_CUSTOM_OPS, backend="aot_eager")
    x = next(form.inputs(**F64))
    assert_same(run(compiled, x), run(block, x))


@cache
def exported(form: Form) -> tuple[nn.Module, torch.export.ExportedProgram]:
    block = form.at_work()
    auto = torch.export.Dim.AUTO
    free = {0: auto, **{2 + i: auto for i in range(form.dims)}}
    # No size may be the example's: 2 and 3 are often taken for constants.
    x = torch.randn(2, C, *range(8, 8 + 2 * form.dims, 2))
    return block, torch.export.export(block, (x,), dynamic_shapes=(free,))


@needs_open_sizes
@promise(forms=SLOW, devices=("cpu",))
def test_it_exports_with_any_batch_and_size(form):
    block, program = exported(form)
    for x in form.inputs():
        x = torch.cat([x, x])
        torch.testing.assert_close(program.module()(x), block(x), **CLOSE)


@needs_open_sizes
@promise(forms=SLOW, devices=("cpu",))
def test_onnxruntime_gives_the_same(form):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    block, program = exported(form)
    file = io.BytesIO()
    torch.onnx.export(program, (), file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file.getvalue())
    (name,) = (argument.name for argument in session.get_inputs())
    for x in form.inputs():
        x = torch.cat([x, x])
        (out,) = session.run(None, {name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(out), block(x), **CLOSE)


def mean_gradients(block: nn.Module, x: Tensor) -> list[Tensor]:
    (block(x).square().sum() / len(x)).backward()
    return [p.grad for p in block.parameters()]


def _work(
    rank: int,
    backend: str,
    folder: Path,
    blocks: list[nn.Module],
    inputs: list[Tensor],
):
    store = f"file://{folder / 'store'}"
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if backend == "nccl":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, init_method=store, rank=rank, world_size=2)
    torch.set_num_threads(1)
    wrapped = [DistributedDataParallel(block.to(device)) for block in blocks]
    pairs = zip(wrapped, inputs, strict=True)
    found = [mean_gradients(block, x[rank::2].to(device)) for block, x in pairs]
    if rank == 0:
        on_cpu = [[g.cpu() for g in gradients] for gradients in found]
        torch.save(on_cpu, folder / "gradients.pth")
    dist.barrier()
    # Not through the destructors: DDP's waits, with the interpreter's lock, for Gloo's
    # thread, which may be waiting for the lock (PyTorch 2.13).
    os._exit(0)


NCCL = pytest.param("nccl", marks=pytest.mark.gpu)


@pytest.mark.parametrize("backend", ["gloo", NCCL])
def test_two_processes_average_to_the_gradients_of_one(backend):
    if backend == "nccl" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    check_two_processes(FORMS, backend)


def check_two_processes(forms: list[Form], backend: str = "gloo") -> None:
    blocks = [form.at_work() for form in forms]
    inputs = [torch.cat([x, x + 1]) for x in (next(f.inputs()) for f in forms)]
    with TemporaryDirectory() as folder:
        given = backend, Path(folder), copy.deepcopy(blocks), inputs
        mp.spawn(_work, given, nprocs=2)
        found = torch.load(Path(folder) / "gradients.pth")
    for form, block, x, theirs in zip(forms, blocks, inputs, found, strict=True):
        own = mean_gradients(block, x)
        # In shares of the largest: that of a key's bias is all rounding, being zero.
        scale = max(1.0, *(g.abs().max().item() for g in own))
        assert_same(
            {str(i): g / scale for i, g in enumerate(theirs)},
            {f"{form} {i}": g / scale for i, g in enumerate(own)},
        )
