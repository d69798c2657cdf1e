"""Keep the config's text inside a checkpoint as data, never as a program.

MMEngine stores the config as Python text, and executes it again: ``Runner.resume``
what is under ``meta['config']`` (an old key; today's is ``cfg``), an inferencer that is
given nothing but a checkpoint what is under ``cfg``. Loading a checkpoint safely would
be of little use if its text could run anything.
"""

import ast
import logging
from typing import Any

from mmengine.logging import print_log

_DATA = (
    ast.Constant,
    ast.Dict,
    ast.List,
    ast.Load,
    ast.Set,
    ast.Tuple,
    ast.UAdd,
    ast.UnaryOp,
    ast.USub,
    ast.keyword,
)


def is_plain_data(text: str) -> bool:
    """Return whether executing a config's ``text`` does nothing but assign literals.

    That is what ``Config.pretty_text`` writes: ``name = value`` lines of numbers,
    strings, lists, tuples, sets, dicts and ``dict(key=value)``. ``_base_`` (it reads
    another file) and ``{{...}}`` (MMEngine replaces it before it executes) are refused.
    ``custom_imports`` is data: it imports installed modules, nothing out of the
    checkpoint.
    """
    if "{{" in text:
        return False
    try:
        return all(_assigns_data(statement) for statement in ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _assigns_data(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Assign)
        and all(
            # With another ``dict``, dict(key=value) would be a call of anything.
            isinstance(target, ast.Name) and target.id not in ("_base_", "dict")
            for target in statement.targets
        )
        and _is_data(statement.value)
    )


def _is_data(node: ast.AST) -> bool:
    inner: list[ast.AST]
    if isinstance(node, ast.Call):
        inner = [*node.args, *node.keywords]
        if not (isinstance(node.func, ast.Name) and node.func.id == "dict"):
            return False
    elif isinstance(node, _DATA):
        inner = list(ast.iter_child_nodes(node))
    else:
        return False
    return all(_is_data(child) for child in inner)


def without_programs(checkpoint: dict[str, Any], path: str) -> dict[str, Any]:
    """Remove the config texts that aren't plain data from ``checkpoint``, in place.

    ``meta['config']`` goes in any case: ``Runner.resume`` executes it to compare the
    number of GPUs, and no MMEngine writes it.
    """
    meta = _dict(checkpoint.get("meta"))
    meta.pop("config", None)
    runtime_info = _dict(_dict(checkpoint.get("message_hub")).get("runtime_info"))
    for holder in (meta, runtime_info):
        text = holder.get("cfg")
        if text is not None and not (isinstance(text, str) and is_plain_data(text)):
            del holder["cfg"]
            print_log(
                f"The config inside {path} is more than plain data and was left out; "
                "training and testing don't need it, an inferencer then needs a config "
                "file",
                logger="current",
                level=logging.WARNING,
            )
    return checkpoint


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
