"""Find what a model would lack after loading, by its own loading hooks."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys
from torch.nn.parameter import is_lazy


@dataclass(frozen=True)
class DryLoad:
    """Hold what loading would have done, by key.

    ``missing`` and ``unexpected`` are as PyTorch reports them. ``reshaped`` are the
    model's keys for which there is a tensor of another shape, which is given, and
    ``foreign`` those for which there is no tensor but something of the given type.
    """

    missing: set[str] = field(default_factory=set)
    unexpected: set[str] = field(default_factory=set)
    reshaped: dict[str, torch.Size] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside wrappers (distribution, test-time augmentation)."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = cast("nn.Module", model.module)
    return model


def own_state(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and persistent buffers under the keys that MMEngine loads."""
    model = unwrapped(model)
    for name, value in _own(model):
        yield prefix + name, value
    for name, child in model._modules.items():
        if child is not None:
            yield from own_state(child, f"{prefix}{name}.")


def dry_load(model: nn.Module, weights: Mapping[str, Any]) -> DryLoad:
    """Load ``weights`` as MMEngine does, module by module, into copies.

    So the model's own hooks (``register_load_state_dict_pre_hook``, an overridden
    ``_load_from_state_dict``, the hooks after loading) rename what they rename. The
    model is afterwards as it was. Memory: one more copy of its state, for the time.
    """
    found = DryLoad()
    metadata = getattr(weights, "_metadata", {})
    missing: list[str] = []
    unexpected: list[str] = []

    def load(module: nn.Module, local: dict[str, Any], prefix: str) -> None:
        module = unwrapped(module)
        version = metadata.get(prefix[:-1], {})
        module._load_from_state_dict(
            local, prefix, version, True, missing, unexpected, []
        )
        for name, value in _own(module):
            _compare(prefix + name, value, local, found)
        for name, child in module._modules.items():
            if child is not None:
                start = f"{prefix}{name}."
                local_to_child = {k: v for k, v in local.items() if k.startswith(start)}
                load(child, local_to_child, start)
        keys = _IncompatibleKeys(missing, unexpected)
        for hook in module._load_state_dict_post_hooks.values():
            hook(module, keys)

    with _left_as_it_was(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loading will give them
        load(model, dict(weights), "")
    found.missing.update(missing)
    found.unexpected.update(unexpected)
    return found


def _own(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, value in [*module._parameters.items(), *module._buffers.items()]:
        if value is not None and name not in module._non_persistent_buffers_set:
            yield name, value


def _compare(key: str, own: Tensor, local: Mapping[str, Any], found: DryLoad) -> None:
    if key not in local:
        return
    given = local[key]
    if not torch.overrides.is_tensor_like(given):
        found.foreign[key] = type(given).__name__
        return
    # PyTorch takes a vector of one number for a scalar.
    is_scalar = not is_lazy(own) and own.shape == () and given.shape == (1,)
    if not is_lazy(own) and given.shape != own.shape and not is_scalar:
        found.reshaped[key] = given.shape


@contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Let the modules work on copies of their tensors, and of their attributes."""
    modules = list(model.modules())
    attributes = [vars(module) for module in modules]
    try:
        for module, before in zip(modules, attributes, strict=True):
            # Their dicts as well, into which hooks may write.
            inside = {
                name: value.copy() if _is_torchs_dict(name, value) else value
                for name, value in before.items()
            }
            for kind in ("_parameters", "_buffers"):
                for name, value in before[kind].items():
                    inside[kind][name] = None if value is None else _copy(value)
            object.__setattr__(module, "__dict__", inside)
        yield
    finally:
        for module, before in zip(modules, attributes, strict=True):
            object.__setattr__(module, "__dict__", before)


def _is_torchs_dict(name: str, value: Any) -> bool:
    return name.startswith("_") and isinstance(value, dict)


def _copy(value: Tensor) -> Tensor:
    if is_lazy(value):
        # PyTorch's annotation has none of the arguments of lazy ones.
        lazy: Callable[..., Tensor] = type(value)
        return lazy(value.requires_grad, device=value.device)
    copy = value.detach().clone()
    if isinstance(value, nn.Parameter):
        return nn.Parameter(copy, requires_grad=value.requires_grad)
    return copy
