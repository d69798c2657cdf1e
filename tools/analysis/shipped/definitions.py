"""Every shipped config's backbones and necks, each different one once."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config

# Where a model has a backbone: itself, or in the detector or the re-identification
# model of a tracker or a semi-supervised one. SAN calls its backbone image_encoder.
HOLDERS = ("detector", "reid")
KEYS = ("backbone", "image_encoder")
WEIGHTS = ("init_cfg", "pretrained", "checkpoint")


@dataclass
class Definition:
    """A backbone or a neck without the names of weights.

    Args:
        toolbox: Whose it is.
        config: Of one module, or of several in a row.
        users: The configs (TOOLBOX/PATH) that have it.
        necks: Of a backbone, the necks behind it.
    """

    toolbox: str
    config: dict[str, Any] | list[dict[str, Any]]
    users: list[str] = field(default_factory=list)
    necks: dict[str, "Definition"] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The name of its class, or of several in a row."""
        parts = self.config if isinstance(self.config, list) else [self.config]
        return " + ".join(part["type"] for part in parts)


def leaves(toolbox: str) -> list[tuple[str, Path]]:
    """List name and path of an installed toolbox's configs that others don't extend."""
    root = Path(find_spec(toolbox).origin).parent / ".mim" / "configs"
    return [
        (f"{toolbox}/{path.relative_to(root)}", path)
        for path in sorted(root.rglob("*.py"))
        if "_base_" not in path.relative_to(root).parts
        and not path.name.startswith("_base_")
    ]


def collect(
    configs: Iterable[tuple[str, Path]],
) -> tuple[list[Definition], dict[str, str]]:
    """Group the backbones of ``configs`` by what they are.

    Returns:
        The different backbones, and why each config without one has none.
    """
    found: dict[str, Definition] = {}
    left_out = {}
    for name, path in configs:
        try:
            model = Config.fromfile(path).to_dict().get("model")
        except Exception as error:  # a config is a program: anything may come out of it
            left_out[name] = f"the config does not load: {one_line(error)}"
            continue
        if model is None:
            left_out[name] = "it defines no model: a part of other configs"
            continue
        toolbox = name.split("/")[0]
        left_out[name] = "no image backbone of this toolbox"
        for backbone, neck in _backbones(model):
            left_out.pop(name, None)
            definition = _note(found, f"{toolbox} {_text(backbone)}", toolbox, backbone)
            definition.users.append(name)
            if neck is not None:
                behind = _note(definition.necks, _text(neck), toolbox, neck)
                behind.users.append(name)
    return list(found.values()), left_out


def one_line(error: Exception) -> str:
    """Write the type and the first line of an error, without this machine's paths."""
    first = str(error).strip().partition("\n")[0]
    text = " ".join(w for w in first.split() if "site-packages" not in w)
    return f"{type(error).__name__}: {text.removesuffix('the current sys.path is:')}"


def _note(found: dict, key: str, toolbox: str, config: Any) -> Definition:
    return found.setdefault(key, Definition(toolbox, config))


def _backbones(model: dict[str, Any]) -> Iterator[tuple[dict, Any]]:
    for holder in [model, *(model.get(name) for name in HOLDERS)]:
        for key in KEYS if isinstance(holder, dict) else ():
            backbone = holder.get(key)
            if isinstance(backbone, dict) and "type" in backbone:
                yield _without_weights(backbone), _without_weights(holder.get("neck"))


def _without_weights(value: Any) -> Any:
    """Copy without the names of weights, which would be downloaded, at any depth."""
    if isinstance(value, dict):
        return {k: _without_weights(v) for k, v in value.items() if k not in WEIGHTS}
    if isinstance(value, list | tuple):
        return type(value)(_without_weights(v) for v in value)
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
