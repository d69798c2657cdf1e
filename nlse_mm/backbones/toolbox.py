"""The active toolbox, MMDetection or MMSegmentation, and its backbones by name."""

import difflib

from mmengine.registry import MODELS, DefaultScope

from nlse_mm.registry import installed, why_broken

TOOLBOXES = ("mmdet", "mmseg")


def active_toolbox() -> str:
    """``'mmdet'`` or ``'mmseg'``: the default scope's, else the one that is installed.

    With both installed and another default scope (or none, as in a notebook), it is
    ``'mmdet'``.

    Raises:
        ImportError: If neither is installed.
    """
    scope = DefaultScope.get_current_instance()
    if scope is not None and scope.scope_name in TOOLBOXES:
        return scope.scope_name
    for toolbox in TOOLBOXES:
        if installed(toolbox):
            return toolbox
    raise ImportError(
        "nlse_mm's backbones need MMDetection (pip install mmdet) or MMSegmentation "
        "(pip install mmsegmentation), and neither is installed"
    )


def backbone_class(name: str) -> type:
    """The class registered under ``name``, of the active toolbox or the scope in it.

    Raises:
        ImportError: If the toolbox is installed and can't be imported.
        KeyError: If there is none of that name.
    """
    if "." not in name:
        name = f"{active_toolbox()}.{name}"
    scope, _, wanted = name.partition(".")
    if not scope:
        raise KeyError(f"{name!r} is not a name such as 'mmpretrain.ConvNeXt'")
    if why := why_broken(scope, "MODELS"):
        raise ImportError(f"{name} is not to be had: {why}")
    try:
        found = MODELS.get(name)
    except RuntimeError:  # what MMEngine raises for a name that is nowhere
        found = None
    if found is None:
        raise KeyError(_why_missing(scope, wanted))
    return found


def _why_missing(scope: str, name: str) -> str:
    if scope not in MODELS.children and not installed(scope):
        return f"{scope}.{name} is not found: {scope} isn't installed"
    own = MODELS if scope == MODELS.scope else MODELS.children.get(scope)
    near = difflib.get_close_matches(name, own.module_dict if own else ())
    hint = f"; near it are {', '.join(map(repr, near))}" if near else ""
    return f"{scope} has no model {name!r}{hint}"
