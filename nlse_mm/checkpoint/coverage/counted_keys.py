"""Choose the keys that count when a model and a checkpoint are compared."""

from collections.abc import Collection, Iterable, Mapping, Set

from torch import Tensor, nn


def is_counter(key: str) -> bool:
    """Return whether it is BatchNorm's count of batches, which no prediction needs."""
    return key.endswith("num_batches_tracked")


def unfilled(own: Mapping[str, Tensor], missing: Set[str]) -> set[str]:
    """Return the model's missing keys, less those of a tensor that has another name."""
    filled = {id(value) for key, value in own.items() if key not in missing}
    return {k for k in own.keys() & missing if id(own[k]) not in filled}


def is_trained(key: str, value: Tensor) -> bool:
    """Return whether training sets its value, not the constructor (Swin's indices)."""
    is_statistic = key.endswith(("running_mean", "running_var"))
    return isinstance(value, nn.Parameter) or is_statistic


def is_random(value: Tensor) -> bool:
    """Return whether it doesn't start as a constant, as a norm's weights do."""
    if value.is_meta:
        return True
    if value.numel() == 1:
        return value.item() not in (0, 1)
    return bool((value != value.flatten()[:1]).any())


def is_unused(key: str, model: nn.Module) -> bool:
    """Return whether no prediction uses it, only training.

    So it is with MMSegmentation's auxiliary heads, and, of MMDetection's student and
    teacher, with the one that doesn't predict.
    """
    settings = getattr(model, "semi_test_cfg", None)
    if settings is None:
        return key.startswith("auxiliary_head.")
    predicts = settings.get("predict_on", "teacher")
    return key.split(".")[0] in {"teacher", "student"} - {predicts}


def new_plugins(
    model: nn.Module, own: Collection[str], missing: Set[str]
) -> dict[str, list[str]]:
    """Return the plugins of which each key is missing, and their keys.

    MMCV names a plugin by its class's ``_abbr_``; a ConvModule has one too, but is no
    plugin under another name.
    """
    plugins = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2].startswith(getattr(module, "_abbr_", name + " ")):
            keys = [key for key in own if key.startswith(f"{name}.")]
            if keys and missing >= set(keys):
                plugins[name] = keys
    return plugins


def is_identity(plugin: nn.Module) -> bool:
    """Return whether a fresh plugin changes nothing, for one of its weights is zero."""
    weights = [v for k, v in plugin.named_parameters() if not k.endswith("bias")]
    return not weights or any(v.is_meta or not v.any() for v in weights)


def absent_parts(needed: Set[str], missing: Set[str], depth: int) -> set[str]:
    """Return the modules, at most ``depth`` levels down, of which no key is there."""
    absent: set[str] = set()
    for level in range(1, depth + 1):
        gone = _modules(needed, level) - _modules(needed - missing, level)
        absent |= {name for name in gone if part(name, level - 1) not in absent}
    return absent


def surplus(unexpected: Iterable[str], own: Collection[str]) -> list[str]:
    """Return the keys that a checkpoint has beyond the model's, within its own parts.

    Those under a name of their own at the first or second level are left out: EMA
    copies, a teacher, another head, optimizer state. A number there is no name of its
    own, but one more of a sequence of layers.
    """
    known = parts(own, 1) | parts(own, 2)
    counted = []
    for key in unexpected:
        new = [p for p in (part(key, 1), part(key, 2)) if p not in known]
        is_apart = new and not new[0].rpartition(".")[2].isdigit()
        if not is_apart and not is_counter(key):
            counted.append(key)
    return sorted(counted)


def _modules(keys: Iterable[str], level: int) -> set[str]:
    return {part(key.rpartition(".")[0] or key, level) for key in keys}


def parts(keys: Iterable[str], depth: int) -> set[str]:
    """Return the modules, ``depth`` levels down, to which keys belong."""
    return {part(key, depth) for key in keys}


def part(key: str, depth: int) -> str:
    """Return the module a key belongs to: ``backbone``, or ``backbone.layer1``."""
    return ".".join(key.split(".")[:depth])
