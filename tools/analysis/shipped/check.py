"""Add a non-local line and an SE line to a backbone or neck, and see what changes."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from nlse_mm.backbones.dry_run import DryRun
from nlse_mm.plugins import NonLocal2d, SELayer

from .definitions import Definition, one_line

NON_LOCAL = dict(type="nlse_mm.NonLocal2d", sub_sample=True, norm_cfg=dict(type="BN"))
SE = dict(type="nlse_mm.SELayer", zero_init=True)
BLOCK_BY_BLOCK = ("ResNet", "ResNeXt", "ResNetV1c", "ResNetV1d")
# (H, W) in pixels, for necks that halve further than the backbone's trial size allows:
# SSD's convolutions want 300, deep pyramids multiples of 128.
LARGER = ((256, 256), (512, 512))
# They return other maps in training than in inference, so a line says after= what.
AFTER = {"DDRNet": "spatial_branch_layers.2", "PIDNet": "dfm"}


class NotHereError(Exception):
    """The untouched model does not build or run on this machine."""


class DifferentError(Exception):
    """The model with plugins is not what it has to be."""


def check(definition: Definition) -> tuple[str | None, dict[str, str | None]]:
    """Why plugins don't go into a backbone, and into each neck behind it.

    Returns:
        None or the reason for the backbone, and likewise for each key of ``necks``.

    Raises:
        NotHereError: If the untouched backbone does not build or run.
    """
    with DefaultScope.overwrite_default_scope(definition.toolbox):
        try:
            stock = MODELS.build(definition.config)
            size = DryRun(stock, img_size=_pair(definition.config.get("img_size"))).size
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
            return _reason(plain, neck_with_plugins(config, len(outs)), maps)
    return first or f"its maps have a single row or column at each of {sizes}"


def with_plugins(config: dict[str, Any], number_of_maps: int) -> dict[str, Any]:
    """A backbone's or neck's config with both lines, as the README writes them."""
    kind = config["type"]
    if kind in BLOCK_BY_BLOCK:
        stages = config.get("num_stages", 4)
        last_norm = 2 if config["depth"] in (18, 34) else 3
        lines = [
            dict(
                cfg=NON_LOCAL,
                stages=tuple(i == min(2, stages - 1) for i in range(stages)),
                blocks=(-2,),
                position="after_block",
            ),
            dict(cfg=SE, position=f"after_conv{last_norm}"),
        ]
        own = config.get("plugins") or []
        return {**config, "type": f"nlse_mm.{kind}", "plugins": [*own, *lines]}
    places = [dict(output=_third(number_of_maps)), dict(output=-1)]
    if kind in AFTER:
        places = [dict(after=AFTER[kind])] * 2
    lines = [
        dict(cfg=c, **place) for c, place in zip((NON_LOCAL, SE), places, strict=True)
    ]
    return {**config, "type": "nlse_mm.WithPlugins", "base": kind, "plugins": lines}


def _third(number_of_maps: int) -> int:
    return min(2, number_of_maps - 1)


def neck_with_plugins(config: Any, number_of_maps: int) -> Any:
    """Likewise; of several necks in a row, the last one gets the lines."""
    if isinstance(config, list):
        return [*config[:-1], with_plugins(config[-1], number_of_maps)]
    return with_plugins(config, number_of_maps)


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
    plugins = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, NonLocal2d | SELayer)
    }
    for kind in (NonLocal2d, SELayer):
        if not any(isinstance(plugin, kind) for plugin in plugins.values()):
            raise DifferentError(f"no {kind.__name__} in it")
    state = model.state_dict()
    renamed = stock.state_dict().keys() - state.keys()
    if renamed:
        raise DifferentError(f"renamed: {', '.join(sorted(renamed)[:4])}")
    starts = tuple(f"{name}." for name in plugins)
    extra = [k for k in state.keys() - stock.state_dict() if not k.startswith(starts)]
    if extra:
        raise DifferentError(f"not a plugin's: {', '.join(sorted(extra)[:4])}")
    _open_branches(model, plugins)
    stock.load_state_dict({k: v for k, v in state.items() if k in stock.state_dict()})
    outputs = _outputs(stock, inputs)
    pairs = zip(outputs, _outputs(model, inputs), strict=True)
    # Where random weights overflow (DetectoRS), it has to be in the same places.
    if not all(_identical(a, b) for a, b in pairs):
        raise DifferentError("its outputs differ at the start")
    if not any(out.isfinite().any() for out in outputs):
        raise DifferentError("all that random weights give overflows")
    _train(model, plugins, inputs)


def _open_branches(model: nn.Module, plugins: dict[str, nn.Module]) -> None:
    """Fill what is zero outside of the plugins.

    A residual branch that starts at zero, as a ResNet's own initialisation has it,
    would hide what a plugin in it does, and give it no gradient in the first step.
    """
    ours = {id(p) for plugin in plugins.values() for p in plugin.parameters()}
    for parameter in model.parameters():
        if id(parameter) not in ours and not parameter.any():
            parameter.data.fill_(0.01)  # small: it is to overflow nowhere


def _identical(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def _train(model: nn.Module, plugins: dict[str, nn.Module], inputs: Any) -> None:
    """DifferentError unless a step of training would move each of the plugins."""
    model.train()
    for name, plugin in plugins.items():
        if not all(p.requires_grad for p in plugin.parameters()):
            raise DifferentError(f"{name} is frozen")
    ours = {id(p) for plugin in plugins.values() for p in plugin.parameters()}
    for parameter in model.parameters():
        if id(parameter) not in ours:
            parameter.requires_grad = False  # no memory for gradients nobody reads
    loss = sum((out * torch.rand_like(out)).sum() for out in tensors(model(inputs)))
    loss.backward()
    for name, plugin in plugins.items():
        gradients = [p.grad for p in plugin.parameters()]
        if any(g is None for g in gradients) or not any(g.any() for g in gradients):
            raise DifferentError(f"no gradient reaches {name}")


def _outputs(model: nn.Module, inputs: Any) -> tuple[Tensor, ...]:
    model.eval()
    with torch.no_grad():
        return tuple(tensors(model(inputs)))


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in what a model returns, at any depth."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def _pair(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else tuple(size)[:2]
