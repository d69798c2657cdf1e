"""Add plugins to a backbone or neck, and see what changes."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import to_2tuple
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from nlse_mm.placement.dry_run import DryRun

from .definitions import Definition, one_line

Plugin = dict[str, Any]  # its config
Modules = dict[str, nn.Module]  # by name
PLUGINS = (
    dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN")),
    dict(type="nlse_mm.SELayer", zero_init=True),
)
BLOCK_BY_BLOCK = ("ResNet", "ResNeXt", "ResNetV1c", "ResNetV1d")
# (H, W) in pixels, for necks that halve further than the backbone's trial size allows:
# SSD's convolutions want 300, deep pyramids multiples of 128.
LARGER = ((256, 256), (512, 512))
# They return other maps in training than in inference, so an entry says after= what.
AFTER = {"DDRNet": "spatial_branch_layers.2", "PIDNet": "dfm"}


class NotHereError(Exception):
    """The untouched model does not build or run on this machine."""


def check(definition: Definition, plugins: Sequence[Plugin] = PLUGINS) -> None:
    """Note why ``plugins`` don't go into a backbone, and into each neck behind it.

    Raises:
        NotHereError: If the untouched backbone does not build or run.
    """
    config = definition.config
    with DefaultScope.overwrite_default_scope(definition.toolbox):
        try:
            stock = MODELS.build(config)
            size = config.get("img_size")
            size = DryRun(stock, img_size=size and to_2tuple(size)[:2]).size
            image = torch.rand(2, 3, *size)
            maps = _outputs(stock, image)
        except Exception as error:  # whatever a foreign model raises
            raise NotHereError(one_line(error)) from error
        plugged = with_plugins(config, len(maps), plugins)
        definition.reason = _reason(stock, plugged, image, plugins)
        for neck in definition.necks.values():
            neck.reason = _neck_reason(stock, neck.config, (size, *LARGER), plugins)


def _neck_reason(
    backbone: nn.Module,
    config: Any,
    sizes: Sequence[tuple[int, int]],
    plugins: Sequence[Plugin],
) -> str | None:
    """Check a neck on the first of ``sizes`` (H, W) that suits it, untouched.

    Random maps of the backbone's shapes go in: its own, from weights that are not
    initialised, may overflow.
    """
    first = None
    for size in sizes:
        try:
            stock = MODELS.build(config)
            shapes = _outputs(backbone, torch.rand(2, 3, *size))
            maps = tuple(torch.rand_like(m) for m in shapes)
            outs = _outputs(stock, maps)
        except Exception as error:
            first = first or f"untouched, it does not run here: {one_line(error)}"
            continue
        if min(outs[_third(len(outs))].shape[2:]) > 1:  # or sub_sample=True refuses
            # Of several necks in a row, the last one gets the plugins.
            *before, last = config if isinstance(config, list) else [config]
            last = with_plugins(last, len(outs), plugins)
            return _reason(stock, [*before, last] if before else last, maps, plugins)
    return first or f"its maps have a single row or column at each of {sizes}"


def with_plugins(
    config: dict[str, Any], number_of_maps: int, plugins: Sequence[Plugin]
) -> dict[str, Any]:
    """Add entries to a backbone's or neck's config, as the README writes them.

    There are two places: one plugin goes to both, of several every other one to each.
    """
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
    pairs = zip(cycle(plugins), cycle(places), range(max(2, len(plugins))))
    entries = [dict(cfg=plugin, **place) for plugin, place, _ in pairs]
    return {**config, **base, "plugins": [*own, *entries]}


def _third(number_of_maps: int) -> int:
    return min(2, number_of_maps - 1)


def _reason(
    stock: nn.Module, config: Any, inputs: Any, plugins: Sequence[Plugin]
) -> str | None:
    try:
        model = MODELS.build(config)
        model.init_weights()
        return next(_faults(stock, model, inputs, plugins), None)
    except Exception as error:  # refused, or it broke
        return one_line(error)


def _faults(
    stock: nn.Module, model: nn.Module, inputs: Any, plugins: Sequence[Plugin]
) -> Iterator[str]:
    """Yield what is wrong with the model that has plugins, one check after another."""
    before = dict(stock.named_modules())
    new = {n: m for n, m in model.named_modules() if n not in before}
    kinds = tuple(MODELS.get(plugin["type"]) for plugin in plugins)
    placed = {n: m for n, m in new.items() if isinstance(m, kinds)}
    for kind in kinds:
        if not any(isinstance(plugin, kind) for plugin in placed.values()):
            yield f"no {kind.__name__} in it"
    yield from _renamed(stock, model, placed)
    own = {id(p) for plugin in placed.values() for p in plugin.parameters()}
    others = [p for p in model.parameters() if id(p) not in own]
    # A residual branch that starts at zero, as a ResNet's own initialisation has it,
    # would hide what a plugin in it does, and give it no gradient in the first step.
    for parameter in others:
        if not parameter.any():
            parameter.data.fill_(0.01)  # small: it is to overflow nowhere
    yield from _different(stock, model, inputs)
    for parameter in others:
        parameter.requires_grad = False  # no memory for gradients nobody reads
    yield from _untrained(model, inputs, placed)


def _renamed(stock: nn.Module, model: nn.Module, placed: Modules) -> Iterator[str]:
    keys, names = model.state_dict().keys(), stock.state_dict().keys()
    if renamed := names - keys:
        yield f"renamed: {', '.join(sorted(renamed)[:4])}"
    starts = tuple(f"{name}." for name in placed)
    if extra := [key for key in keys - names if not key.startswith(starts)]:
        yield f"not a plugin's: {', '.join(sorted(extra)[:4])}"


def _different(stock: nn.Module, model: nn.Module, inputs: Any) -> Iterator[str]:
    stock.load_state_dict({k: model.state_dict()[k] for k in stock.state_dict()})
    outputs = _outputs(stock, inputs)
    pairs = zip(outputs, _outputs(model, inputs), strict=True)
    # Where random weights overflow (DetectoRS), it has to be in the same places.
    if not all(_identical(a, b) for a, b in pairs):
        yield "its outputs differ at the start"
    if not any(out.isfinite().any() for out in outputs):
        yield "all that random weights give overflows"


def _untrained(model: nn.Module, inputs: Any, placed: Modules) -> Iterator[str]:
    model.train()
    for name, plugin in placed.items():
        if not all(p.requires_grad for p in plugin.parameters()):
            yield f"{name} is frozen"
    outputs = _tensors(model(inputs))
    sum((out * torch.rand_like(out)).sum() for out in outputs).backward()
    for name, plugin in placed.items():
        gradients = [p.grad for p in plugin.parameters()]
        if any(g is None for g in gradients) or not any(g.any() for g in gradients):
            yield f"no gradient reaches {name}"


def _identical(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _outputs(model: nn.Module, inputs: Any) -> list[Tensor]:
    model.eval()
    with torch.no_grad():
        return _tensors(model(inputs))


def _tensors(value: Any) -> list[Tensor]:
    """List the tensors in what a model returns, at any depth."""
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]
