"""Every shipped config's backbones and necks, each different one once."""

import json
from collections.abc import Iterator, Sequence
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
class Neck:
    """A neck behind a backbone, and the configs (TOOLBOX/PATH) that have it there."""

    config: dict[str, Any] | list[dict[str, Any]]
    users: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The name of its class, or of several in a row."""
        parts = self.config if isinstance(self.config, list) else [self.config]
        return " + ".join(part["type"] for part in parts)


@dataclass
class Definition:
    """A backbone without the name of its weights, its users and the necks behind it."""

    toolbox: str
    config: dict[str, Any]
    users: list[str] = field(default_factory=list)
    necks: dict[str, Neck] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name of its class."""
        return self.config["type"]


def leaves(toolbox: str) -> list[tuple[str, Path]]:
    """The configs of an installed toolbox that no other is made from: name and path."""
    root = Path(find_spec(toolbox).origin).parent / ".mim" / "configs"
    paths = [(p.relative_to(root), p) for p in sorted(root.rglob("*.py"))]
    return [
        (f"{toolbox}/{name}", path)
        for name, path in paths
        if "_base_" not in name.parts and not name.name.startswith("_base_")
    ]


def collect(
    configs: Sequence[tuple[str, Path]],
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
        pairs = list(_backbones(model))
        if not pairs:
            left_out[name] = "no image backbone of this toolbox"
        toolbox = name.split("/")[0]
        for backbone, neck in pairs:
            definition = found.setdefault(
                f"{toolbox} {_text(backbone)}", Definition(toolbox, backbone)
            )
            definition.users.append(name)
            if neck is not None:
                behind = definition.necks.setdefault(_text(neck), Neck(neck))
                behind.users.append(name)
    return list(found.values()), left_out


def one_line(error: Exception) -> str:
    """The type and the first line of what went wrong, without this machine's paths."""
    lines = str(error).strip().splitlines() or [""]
    text = " ".join(w for w in lines[0].split() if "site-packages" not in w)
    return f"{type(error).__name__}: {text.removesuffix('the current sys.path is:')}"


def _backbones(model: dict[str, Any]) -> Iterator[tuple[dict, Any]]:
    for holder in [model, *(model.get(name) for name in HOLDERS)]:
        if not isinstance(holder, dict):
            continue
        for key in KEYS:
            backbone = holder.get(key)
            if isinstance(backbone, dict) and "type" in backbone:
                yield _without_weights(backbone), _without_weights(holder.get("neck"))


def _without_weights(value: Any) -> Any:
    """A copy without the names of weights, which would be downloaded, at any depth."""
    if isinstance(value, dict):
        return {k: _without_weights(v) for k, v in value.items() if k not in WEIGHTS}
    if isinstance(value, list | tuple):
        return type(value)(_without_weights(v) for v in value)
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
