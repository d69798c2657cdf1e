"""Find the plugins of a model that can't learn, and why."""

from collections.abc import Collection, Iterable

from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.optim import Optimizer

_STOCK_PLACES = tuple(f"after_conv{i}_plugin_names" for i in (1, 2, 3))


def plugins_in(model: nn.Module) -> dict[str, nn.Module]:
    """Find the plugins that have parameters: those placed, and all of plugin classes.

    By name. A plugin class is one with MMCV's ``_abbr_``. Left out are what a block's
    ``own_names`` call the backbone's own, as SE-ResNet's layers are, and what is part
    of another plugin.
    """
    placed: set[nn.Module] = set()
    own: set[nn.Module] = set()
    for module in model.modules():
        if callable(plugins := getattr(module, "plugin_modules", None)):
            placed.update(plugins())
        for names in (getattr(module, place, None) or () for place in _STOCK_PLACES):
            placed.update(getattr(module, name) for name in names)
        names = getattr(module, "own_names", ())
        own.update(getattr(module, name) for name in names)
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        of_class = hasattr(module, "_abbr_") and not isinstance(module, ConvModule)
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if (module in placed or of_class) and module not in own and not inside:
            found[name] = module
    return {name: m for name, m in found.items() if any(True for _ in m.parameters())}


class Reasons:
    """Explain why parameters don't change: frozen, or not the optimizers' to change."""

    def __init__(self, optimizers: Iterable[Optimizer]) -> None:
        self._rates = {
            parameter: group.get("initial_lr", group.get("lr"))  # without the warm-up
            for optimizer in optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }

    def of(self, weight: Tensor) -> str | None:
        """Return the reason for one parameter, or buffer; None if it can learn."""
        if not weight.requires_grad:
            return "frozen (requires_grad=False)"
        if weight not in self._rates:
            return "in no parameter group of the optimizer"
        if self._rates[weight] == 0:
            return "given a learning rate of 0, as by optim_wrapper.paramwise_cfg"
        return None

    def of_all(self, plugin: nn.Module) -> str:
        """Return the reasons for all parameters of a plugin that can't learn."""
        reasons = dict.fromkeys(self.of(p) for p in plugin.parameters())
        return f"every parameter is {' or '.join(map(str, reasons))}"

    def layer_of_zeros(self, plugin: nn.Module) -> str | None:
        """Name a layer that is zero and stays so, and say why; None if there is none.

        A plugin may start as the identity because such a layer is zero; where the layer
        can't learn either, no gradient passes it, and the plugin remains the identity.
        """
        for name, layer in plugin.named_modules():
            weight, bias = (getattr(layer, n, None) for n in ("weight", "bias"))
            if not isinstance(weight, Tensor) or weight.any() or not self.of(weight):
                continue
            if not isinstance(bias, Tensor) or (not bias.any() and self.of(bias)):
                called = name or type(layer).__name__
                return f"{called}, which is zero and {self.of(weight)}"
        return None


def is_copy(model: nn.Module, name: str, learning: Collection[str]) -> bool:
    """Say whether a plugin is the frozen copy of one that learns, as a teacher's is."""
    first, _, rest = name.partition(".")
    own = _shapes(getattr(model, first))
    return any(
        other != first and f"{other}.{rest}" in learning and _shapes(part) == own
        for other, part in model.named_children()
    )


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}
