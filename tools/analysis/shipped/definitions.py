"""Every shipped config's backbones and necks, each different one once."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nlse_mm.config_file import read_config

# Where a model has a backbone: itself, or in the detector or the re-identification
# model of a tracker or a semi-supervised one. SAN calls its backbone image_encoder.
HOLDERS = ("detector", "reid")
KEYS = ("backbone", "image_encoder")
WEIGHTS = ("init_cfg", "pretrained", "checkpoint")


@dataclass
class Definition:
    """A backbone or a neck without the names of weights."""

    toolbox: str  # whose it is
    config: dict[str, Any] | list[dict[str, Any]]  # of one module, or some in a row
    part: str = "backbone"  # or neck
    users: list[str] = field(default_factory=list)  # configs, as TOOLBOX/PATH
    necks: dict[str, "Definition"] = field(default_factory=dict)  # behind a backbone
    reason: str | None = None  # why it doesn't pass

    @property
    def type(self) -> str:
        """The name of its class, or of several in a row."""
        parts = self.config if isinstance(self.config, list) else [self.config]
        return " + ".join(part["type"] for part in parts)


def leaves(toolbox: str) -> list[tuple[str, Path]]:
    """List name and path of an installed toolbox's configs that others don't extend."""
    root = Path(find_spec(toolbox).origin).parent / ".mim" / "configs"
    paths = {path.relative_to(root): path for path in sorted(root.rglob("*.py"))}
    return [
        (f"{toolbox}/{name}", path)
        for name, path in paths.items()
        if "_base_" not in name.parts and not name.name.startswith("_base_")
    ]


def collect(
    configs: Iterable[tuple[str, Path]],
) -> tuple[list[Definition], dict[str, str]]:
    """List the different backbones, and say why each config without one has none."""
    found: dict[str, Definition] = {}
    left_out = {}
    for name, path in configs:
        try:
            model = read_config(path).to_dict().get("model")
        except Exception as error:  # a config is a program: anything may come out of it
            left_out[name] = f"the config does not load: {one_line(error)}"
            continue
        backbones = list(_backbones(model or {}))
        if model is None:
            left_out[name] = "it defines no model: a part of other configs"
        elif not backbones:
            left_out[name] = "no image backbone of this toolbox"
        toolbox = name.split("/")[0]
        for backbone, neck in backbones:
            one = Definition(toolbox, backbone)
            one = found.setdefault(f"{toolbox} {_text(backbone)}", one)
            one.users.append(name)
            if neck is not None:
                behind = Definition(toolbox, neck, "neck")
                one.necks.setdefault(_text(neck), behind).users.append(name)
    return list(found.values()), left_out


def one_line(error: Exception) -> str:
    """Write the type and the first line of an error, without this machine's paths."""
    first = str(error).strip().partition("\n")[0]
    text = " ".join(w for w in first.split() if "site-packages" not in w)
    return f"{type(error).__name__}: {text.removesuffix('the current sys.path is:')}"


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
