"""Children of MMEngine's registries, all in the scope ``nlse_mm``.

A config that writes ``type='nlse_mm.X'`` needs no ``custom_imports``: MMEngine imports
this module by the scope's name, and the ``locations`` the first time a name is looked
up. Nothing here imports a toolbox, so either one may be missing, or broken.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from mmengine import registry as mmengine

SCOPE = "nlse_mm"
_OF_A_TOOLBOX = ("nlse_mm.heads", "nlse_mm.keypoints", "nlse_mm.datasets")


class _Registry(mmengine.Registry):
    """A registry that does without the folders whose toolbox can't be imported."""

    def import_from_location(self) -> None:
        """Import the locations, each once; note what a toolbox's folder raised."""
        self.left_out: dict[str, str] = {}
        for location in self._locations:
            if location not in _OF_A_TOOLBOX:
                import_module(location)
            elif why := import_error(location):
                self.left_out[location] = why

    def get(self, key: str) -> type | None:
        """The class of that name.

        Raises:
            ImportError: If it isn't there, and some folder of ours isn't either.
        """
        found = super().get(key)
        if found is None and self.left_out:
            reasons = [
                f"{name} can't be imported: {why}"
                for name, why in self.left_out.items()
            ]
            raise ImportError(
                f"{SCOPE}.{key} is not registered, and {'; '.join(reasons)}"
            )
        return found


def _child(name: str, *locations: str) -> mmengine.Registry:
    parent = getattr(mmengine, name)
    return _Registry(parent.name, parent=parent, scope=SCOPE, locations=list(locations))


@cache
def import_error(module: str) -> str | None:
    """What importing ``module`` raises, in one line; None if it can be imported.

    Tried once in a process: a second attempt could find half of a toolbox's names
    registered, and complain about those.
    """
    try:
        import_module(module)
    except Exception as error:  # an import is a program: anything may come out of it
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def installed(package: str) -> bool:
    """Whether there is a ``package`` to import, found out without importing it."""
    try:
        return find_spec(package) is not None
    except (AttributeError, ImportError, TypeError, ValueError):  # not a name
        return False


def _if_installed(toolbox: str, *locations: str) -> tuple[str, ...]:
    return locations if installed(toolbox) else ()


@cache
def why_broken(scope: str, *kinds: str) -> str | None:
    """Say which import of an installed toolbox fails, and with what; None if none.

    MMEngine swallows an ImportError of ``SCOPE.registry``, and then finds no name.

    Args:
        scope: The toolbox's scope, which is its package's name.
        kinds: Of MMEngine's registries, such as ``'MODELS'``, those that have to work.
    """
    for module in (scope, f"{scope}.registry"):
        if not installed(module):  # a package without a registry isn't broken
            return None
        if why := import_error(module):
            return f"{module} can't be imported: {why}"
    for name in kinds:
        child = getattr(mmengine, name).children.get(scope)
        try:
            if child is not None:
                child.import_from_location()
        except Exception as error:  # as in import_error
            reason = " ".join(str(error).split())
            return (
                f"the {name} of {scope} can't be imported: "
                f"{type(error).__name__}: {reason}"
            )
    return None


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
