"""Children of MMEngine's registries, all in the scope ``nlse_mm``.

A config that writes ``type='nlse_mm.X'`` needs no ``custom_imports``: MMEngine imports
this module by the scope's name, and the ``locations`` the first time a name is looked
up. Nothing here imports a toolbox, so either one may be missing.
"""

from importlib.util import find_spec

from mmengine import registry as mmengine

SCOPE = "nlse_mm"


def _child(name: str, *locations: str) -> mmengine.Registry:
    parent = getattr(mmengine, name)
    return mmengine.Registry(
        parent.name, parent=parent, scope=SCOPE, locations=list(locations)
    )


def installed(package: str) -> bool:
    """Whether ``package`` can be imported, found out without importing it."""
    return find_spec(package) is not None


def _if_installed(toolbox: str, *locations: str) -> tuple[str, ...]:
    return locations if installed(toolbox) else ()


MODELS = _child(
    "MODELS",
    "nlse_mm.plugins",
    "nlse_mm.backbones",
    *_if_installed("mmseg", "nlse_mm.heads"),
    *_if_installed("mmdet", "nlse_mm.keypoints"),
)
_DATA = (
    *_if_installed("mmseg", "nlse_mm.datasets"),
    *_if_installed("mmdet", "nlse_mm.keypoints"),
)
DATASETS = _child("DATASETS", *_DATA)
TRANSFORMS = _child("TRANSFORMS", *_DATA)
METRICS = _child(
    "METRICS", "nlse_mm.analysis", *_if_installed("mmdet", "nlse_mm.keypoints")
)
VISUALIZERS = _child("VISUALIZERS", *_if_installed("mmdet", "nlse_mm.keypoints"))
HOOKS = _child("HOOKS", "nlse_mm.checkpoint", "nlse_mm.engine", "nlse_mm.analysis")
FUNCTIONS = _child("FUNCTIONS", "nlse_mm.engine")


# At the end, because the checkpoint hook registers itself in HOOKS. Reading a config of
# ours is what makes MMEngine's own checkpoints loadable, in the toolbox's tools too.
from nlse_mm import checkpoint  # noqa: E402, F401
