"""Add a non-local and an SE plugin to a backbone or neck, and see what changes."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import to_2tuple
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from nlse_mm.placement.dry_run import DryRun
from nlse_mm.plugins import NonLocal2d, SELayer

from .definitions import Definition, one_line

NON_LOCAL = dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN"))
SE = dict(type="nlse_mm.SELayer", zero_init=True)
BLOCK_BY_BLOCK = ("ResNet", "ResNeXt", "ResNetV1c", "ResNetV1d")
# (H, W) in pixels, for necks that halve further than the backbone's trial size allows:
# SSD's convolutions want 300, deep pyramids multiples of 128.
LARGER = ((256, 256), (512, 512))
# They return other maps in training than in inference, so an entry says after= what.
AFTER = {"DDRNet": "spatial_branch_layers.2", "PIDNet": "dfm"}


class NotHereError(Exception):
    """The untouched model does not build or run on this machine."""


class DifferentError(Exception):
    """The model with plugins is not what it has to be."""


def check(definition: Definition) -> tuple[str | None, dict[str, str | None]]:
    """Say why plugins don't go into a backbone, and into each neck behind it.

    Returns:
        None or the reason for the backbone, and likewise for each key of ``necks``.

    Raises:
        NotHereError: If the untouched backbone does not build or run.
    """
    with DefaultScope.overwrite_default_scope(definition.toolbox):
        try:
            stock = MODELS.build(definition.config)
            size = definition.config.get("img_size")
            size = DryRun(stock, img_size=size and to_2tuple(size)[:2]).size
            image = torch.rand(2, 3, *size)
            maps = _outputs(stock, image)
        except Exception as error:  # whatever a foreign model raises
            raise NotHereError(one_line(error)) from error
        config = with_plugins(definition.config, len(maps))
        reason = _reason(stock, config, image)
        necks = {
            key: _neck_reason(stock, neck.config, (size, *LARGER))
            for key, neck in definition.necks.items()
        }
    return reason, necks


def _neck_reason(
    backbone: nn.Module, config: Any, sizes: Sequence[tuple[int, int]]
) -> str | None:
    """Check a neck on the first of ``sizes`` (H, W) that suits it, untouched.

    Random maps of the backbone's shapes go in: its own, from weights that are not
    initialised, may overflow.
    """
    first = None
    for size in sizes:
        try:
            plain = MODELS.build(config)
            shapes = _outputs(backbone, torch.rand(2, 3, *size))
            maps = tuple(torch.rand_like(m) for m in shapes)
            outs = _outputs(plain, maps)
        except Exception as error:
            first = first or f"untouched, it does not run here: {one_line(error)}"
            continue
        if min(outs[_third(len(outs))].shape[2:]) > 1:  # or sub_sample=True refuses
            # Of several necks in a row, the last one gets the plugins.
            *before, last = config if isinstance(config, list) else [config]
            last = with_plugins(last, len(outs))
            return _reason(plain, [*before, last] if before else last, maps)
    return first or f"its maps have a single row or column at each of {sizes}"


def with_plugins(config: dict[str, Any], number_of_maps: int) -> dict[str, Any]:
    """Add both entries to a backbone's or neck's config, as the README writes them."""
    kind = config["type"]
    if kind in BLOCK_BY_BLOCK:
        stages = config.get("num_stages", 4)
        last_norm = 2 if config["depth"] in (18, 34) else 3
        in_res4 = tuple(i == min(2, stages - 1) for i in range(stages))
        places = (
            dict(stages=in_res4, blocks=(-2,), position="after_block"),
            dict(position=f"after_conv{last_norm}"),
        )
        base, own = dict(type=f"nlse_mm.{kind}"), config.get("plugins") or []
    else:
        places = (dict(output=_third(number_of_maps)), dict(output=-1))
        if kind in AFTER:
            places = (dict(after=AFTER[kind]),) * 2
        base, own = dict(type="nlse_mm.WithPlugins", base=kind), []
    pairs = zip((NON_LOCAL, SE), places, strict=True)
    entries = [dict(cfg=plugin, **place) for plugin, place in pairs]
    return {**config, **base, "plugins": [*own, *entries]}


def _third(number_of_maps: int) -> int:
    return min(2, number_of_maps - 1)


def _reason(stock: nn.Module, config: Any, inputs: Any) -> str | None:
    try:
        model = MODELS.build(config)
        model.init_weights()
        _compare(stock, model, inputs)
    except DifferentError as error:
        return str(error)
    except Exception as error:  # refused, or it broke
        return one_line(error)
    return None


def _compare(stock: nn.Module, model: nn.Module, inputs: Any) -> None:
    modules = dict(model.named_modules())
    plugins = {n: m for n, m in modules.items() if isinstance(m, NonLocal2d | SELayer)}
    for kind in (NonLocal2d, SELayer):
        if not any(isinstance(plugin, kind) for plugin in plugins.values()):
            raise DifferentError(f"no {kind.__name__} in it")
    state, names = model.state_dict(), stock.state_dict().keys()
    if renamed := names - state.keys():
        raise DifferentError(f"renamed: {', '.join(sorted(renamed)[:4])}")
    starts = tuple(f"{name}." for name in plugins)
    if extra := [key for key in state.keys() - names if not key.startswith(starts)]:
        raise DifferentError(f"not a plugin's: {', '.join(sorted(extra)[:4])}")
    own = {id(p) for plugin in plugins.values() for p in plugin.parameters()}
    others = [p for p in model.parameters() if id(p) not in own]
    # A residual branch that starts at zero, as a ResNet's own initialisation has it,
    # would hide what a plugin in it does, and give it no gradient in the first step.
    for parameter in others:
        if not parameter.any():
            parameter.data.fill_(0.01)  # small: it is to overflow nowhere
    stock.load_state_dict({key: state[key] for key in names})
    outputs = _outputs(stock, inputs)
    pairs = zip(outputs, _outputs(model, inputs), strict=True)
    # Where random weights overflow (DetectoRS), it has to be in the same places.
    if not all(_identical(a, b) for a, b in pairs):
        raise DifferentError("its outputs differ at the start")
    if not any(out.isfinite().any() for out in outputs):
        raise DifferentError("all that random weights give overflows")
    model.train()
    for name, plugin in plugins.items():
        if not all(p.requires_grad for p in plugin.parameters()):
            raise DifferentError(f"{name} is frozen")
    for parameter in others:
        parameter.requires_grad = False  # no memory for gradients nobody reads
    sum(
        (out * torch.rand_like(out)).sum() for out in _tensors(model(inputs))
    ).backward()
    for name, plugin in plugins.items():
        gradients = [p.grad for p in plugin.parameters()]
        if any(g is None for g in gradients) or not any(g.any() for g in gradients):
            raise DifferentError(f"no gradient reaches {name}")


def _identical(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _outputs(model: nn.Module, inputs: Any) -> list[Tensor]:
    model.eval()
    with torch.no_grad():
        return _tensors(model(inputs))


def _tensors(value: Any) -> list[Tensor]:
    """List the tensors in what a model returns, at any depth."""
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]
