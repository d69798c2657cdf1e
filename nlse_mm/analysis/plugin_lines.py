"""The plugin lines of a model's config, one by one, and the config without them."""

import copy
from collections.abc import Iterator
from typing import Any

STAGES = ("res2", "res3", "res4", "res5")
TRUNKS = {"nlse_mm.SEResNet": "nlse_mm.ResNet", "nlse_mm.SEResNeXt": "nlse_mm.ResNeXt"}
SE_ARGUMENTS = ("reduction", "se_position", "pool_ceil_mode")


def split(model: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Take a model's config apart into its baseline and what was added to it.

    Args:
        model: A config with ``plugins`` lists at any depth, or with an SE-ResNet, whose
            SE layers count as one more line. It isn't changed.

    Returns:
        The baseline: the same without any line. And for each line, under words that
        describe it, the baseline with this line alone.
    """
    baseline = _plain(model)
    added = {}
    if _is_se_trunk(model.get("backbone")):
        alone = copy.deepcopy(baseline)
        alone["backbone"] = copy.deepcopy(model["backbone"])
        alone["backbone"].pop("plugins", None)
        added[f"SE {alone['backbone'].get('se_position', 'standard')}"] = alone
    for path, line in _lines(model):
        alone = copy.deepcopy(baseline)
        part = alone
        for key in path:
            part = part[key]
        part["plugins"] = [copy.deepcopy(line)]
        words = " ".join([*path, describe(line)])
        while words in added:  # the same line twice
            words += "'"
        added[words] = alone
    return baseline, added


def describe(line: dict[str, Any]) -> str:
    """A plugin line in a few words, such as ``NonLocal2d after_block res4[-2]``."""
    words = [line["cfg"]["type"].rpartition(".")[2]]
    if "position" in line:
        stages = line.get("stages") or [True] * len(STAGES)
        blocks = line.get("blocks")
        suffix = "" if blocks is None else str(list(blocks))
        names = [s for s, wanted in zip(STAGES, stages, strict=False) if wanted]
        words += [line["position"], *(name + suffix for name in names)]
    words += [f"{k}={line[k]}" for k in ("output", "after", "after_convs") if k in line]
    return " ".join(words)


def _lines(part: Any, path: tuple = ()) -> Iterator[tuple[tuple, dict[str, Any]]]:
    """Path and line of each entry of each ``plugins`` list."""
    items = enumerate(part) if isinstance(part, list) else ()
    if isinstance(part, dict):
        yield from ((path, line) for line in part.get("plugins") or ())
        items = ((k, v) for k, v in part.items() if k != "plugins")
    for key, value in items:
        yield from _lines(value, (*path, key))


def _plain(part: Any) -> Any:
    """A copy without plugins, an SE-ResNet being a ResNet with them."""
    if isinstance(part, list):
        return [_plain(value) for value in part]
    if not isinstance(part, dict):
        return copy.deepcopy(part)
    copied = {k: [] if k == "plugins" else _plain(v) for k, v in part.items()}
    if _is_se_trunk(part):
        copied["type"] = TRUNKS[part["type"]]
        for argument in SE_ARGUMENTS:
            copied.pop(argument, None)
    return copied


def _is_se_trunk(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in TRUNKS
