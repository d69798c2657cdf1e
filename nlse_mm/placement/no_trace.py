"""Run a model without leaving a trace in it, and capture what its modules return."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_in_trial_run = ContextVar("_in_trial_run", default=False)


@contextmanager
def no_trace(model: nn.Module) -> Iterator[None]:
    """Evaluate a model; modes, buffers and random numbers end as they were."""
    modes = {module: module.training for module in model.modules()}
    wanted = {p: p.requires_grad for p in model.parameters()}
    devices = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    buffers = _buffers(model)
    token = _in_trial_run.set(True)
    with torch.random.fork_rng(devices=sorted(devices)), torch.no_grad():
        for module in modes:
            module.training = False
        try:
            yield
        finally:
            _in_trial_run.reset(token)
            for module, mode in modes.items():
                module.training = mode
            for parameter, requires_grad in wanted.items():
                parameter.requires_grad = requires_grad
            for module, name, buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
                module._buffers[name] = buffer


def in_trial_run() -> bool:
    """Return whether what runs is a trial, and no batch of the user's."""
    return _in_trial_run.get()


def _buffers(model: nn.Module) -> list[tuple[nn.Module, str, Tensor, Tensor]]:
    """Return each buffer with its module, its name and a copy of its value."""
    return [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and not is_lazy(buffer) and _has_values(buffer)
    ]


def _has_values(buffer: Tensor) -> bool:
    return not buffer.is_meta and buffer.layout is torch.strided


@contextmanager
def capture(
    modules: dict[str, nn.Module], returned: dict[str, list[Any]]
) -> Iterator[None]:
    """Append what ``modules`` return, for each call, to the lists of their names."""
    # Hooks for the length of the trial only: torch.compile and SyncBN conversion lose
    # those that stay.
    with ExitStack() as stack:
        for path, module in modules.items():
            handle = module.register_forward_hook(
                lambda _, __, out, path=path: returned[path].append(out)
            )
            stack.callback(handle.remove)
        yield


@contextmanager
def one_more_child(model: nn.Module) -> Iterator[list[Any]]:
    """Give a model one more child, and yield a list of what that returns when run.

    A container gets none: it does run its children, and returns them by name perhaps.
    """
    calls: list[Any] = []
    if isinstance(model, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        yield calls
        return
    name, child = "_one_more_child", nn.Identity()
    child.register_forward_hook(lambda _, __, out: calls.append(out))
    model._modules[name] = child
    try:
        yield calls
    finally:
        del model._modules[name]
