"""The active toolbox, MMDetection or MMSegmentation, and its backbones by name."""

from mmengine.registry import MODELS, DefaultScope

from nlse_mm.registry import installed

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
    """The class that the active toolbox registers under ``name``.

    Raises:
        KeyError: If it has none of that name.
    """
    toolbox = active_toolbox()
    try:
        found = MODELS.get(f"{toolbox}.{name}")
    except RuntimeError:  # what MMEngine raises for a name that is nowhere
        found = None
    if found is None:
        raise KeyError(f"{toolbox} has no model {name!r}")
    return found
