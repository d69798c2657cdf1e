"""Define children of MMEngine's registries, all in the scope ``nlse_mm``.

A config that writes ``type='nlse_mm.X'`` needs no ``custom_imports``: MMEngine imports
this module by the scope's name, and the ``locations`` when the first name is resolved.
Nothing here imports a toolbox, so any one may be missing, or broken.
"""

from importlib import import_module

from mmengine import registry as mmengine

from .checkpoint.loading import install_checkpoint_loaders
from .environment.packages import two_sets
from .environment.stand_in import install_stand_ins
from .errors import MissingPackageError
from .toolbox import TOOLBOXES, import_error, installed

SCOPE = "nlse_mm"
_EXTENDED = tuple(t for t in TOOLBOXES if installed(t.scope))
_FOLDERS = tuple(t.folder for t in _EXTENDED)
_TWO_SETS = two_sets()


class _Registry(mmengine.Registry):
    """Register all but the folders whose toolbox can't be imported."""

    def import_from_location(self) -> None:
        """Import the locations, each once; note what a toolbox's folder raised.

        Raises:
            MissingPackageError: If two distributions hold one of OpenMMLab's packages.
                Raised while this file is imported, MMEngine would drop it.
        """
        if _TWO_SETS:
            raise MissingPackageError(_TWO_SETS)
        self.left_out: dict[str, str] = {}
        for location in self._locations:
            if location not in _FOLDERS:
                import_module(location)
            elif why := import_error(location):
                self.left_out[location] = why

    def get(self, key: str) -> type | None:
        """Return the class of that name.

        Raises:
            MissingPackageError: If it isn't there, and a folder of ours isn't either.
        """
        found = super().get(key)
        if found is None and self.left_out:
            reasons = [
                f"{name} can't be imported: {why}"
                for name, why in self.left_out.items()
            ]
            raise MissingPackageError(
                f"{SCOPE}.{key} is not registered, and {'; '.join(reasons)}"
            )
        return found


def _child(name: str, *locations: str) -> mmengine.Registry:
    parent = getattr(mmengine, name)
    folders = [t.folder for t in _EXTENDED if name in t.adds_to]
    return _Registry(
        parent.name, parent=parent, scope=SCOPE, locations=[*locations, *folders]
    )


MODELS = _child("MODELS", "nlse_mm.plugins", "nlse_mm.backbones")
DATASETS = _child("DATASETS")
TRANSFORMS = _child("TRANSFORMS")
METRICS = _child("METRICS", "nlse_mm.analysis")
VISUALIZERS = _child("VISUALIZERS")
HOOKS = _child("HOOKS", "nlse_mm.training", "nlse_mm.analysis")
FUNCTIONS = _child("FUNCTIONS", "nlse_mm.training")

# In the toolboxes' own tools too, where a config imports this file.
install_stand_ins()
# Reading a config of ours is what makes MMEngine's own checkpoints loadable, in the
# toolboxes' tools too.
install_checkpoint_loaders()
