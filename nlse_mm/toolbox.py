"""List the toolboxes that nlse_mm extends in one table, and find what they have.

Nothing else in the package names a toolbox, but for the folder that extends one.
"""

import difflib
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from types import ModuleType
from typing import Any

from mmengine import registry
from mmengine.registry import MODELS, DefaultScope

from .environment.import_errors import reason
from .environment.packages import how_to_install
from .errors import MissingPackageError, UnknownNameError


@dataclass(frozen=True)
class Toolbox:
    """Describe one toolbox.

    Args:
        scope: Its registry scope, which is its package's name.
        title: What it calls itself.
        folder: Ours that extends it, the only one that imports it; none if there is no
            such folder.
        init: The function of ``apis`` that builds a model from a config.
        inference: The function of ``apis`` that runs a model on an image.
        inferencer: In place of it a class of ``apis``, made of the model.
        dump_metric: The metric that writes predictions to a file.
        adds_to: MMEngine's registries that our folder adds to.
        lacks: Backbones of ours that it has no class for, and what to write instead.
        renamed: Arguments that it calls by other names than the others do.
    """

    scope: str
    title: str
    init: str
    inference: str = ""
    inferencer: str = ""
    folder: str = ""
    adds_to: tuple[str, ...] = ()
    dump_metric: str = "DumpResults"
    lacks: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def module(self, name: str) -> ModuleType:
        """Import a module of the toolbox, such as ``apis``."""
        return import_module(f"{self.scope}.{name}")

    def run(self, model: Any, path: str) -> Any:
        """Return the data sample that a built model predicts for an image's file."""
        apis = self.module("apis")
        if self.inferencer:
            with redirect_stdout(StringIO()):  # a progress bar for each image
                inferencer = getattr(apis, self.inferencer)(model)
                return inferencer(path, return_datasamples=True)[0]
        return getattr(apis, self.inference)(model, path)

    def owns(self, cls: Any) -> bool:
        """Return whether a class, or a function, is the toolbox's own."""
        return package_of(cls) == self.scope


DETECTION = Toolbox(
    scope="mmdet",
    title="MMDetection",
    folder="nlse_mm.keypoints",
    init="init_detector",
    inference="inference_detector",
    dump_metric="DumpDetResults",
    adds_to=("MODELS", "DATASETS", "TRANSFORMS", "METRICS", "VISUALIZERS"),
    lacks={"ResNetV1c": "the same backbone is nlse_mm.ResNet with deep_stem=True"},
)
SEGMENTATION = Toolbox(
    scope="mmseg",
    title="MMSegmentation",
    folder="nlse_mm.segmentation",
    init="init_model",
    inference="inference_model",
    adds_to=("MODELS", "DATASETS", "TRANSFORMS"),
)
VIDEO = Toolbox(
    scope="mmaction",
    title="MMAction2",
    init="init_recognizer",
    inference="inference_recognizer",
)
CLASSIFICATION = Toolbox(
    scope="mmpretrain",
    title="MMPretrain",
    init="get_model",
    # Its inference_model() takes only what its own model zoo lists.
    inferencer="ImageClassificationInferencer",
    renamed={"base_width": "width_per_group"},
)
TOOLBOXES = (DETECTION, SEGMENTATION, VIDEO, CLASSIFICATION)


def find_toolbox(scope: str | None) -> Toolbox | None:
    """Return the toolbox of a ``default_scope``; None if it is none of ours."""
    return next((t for t in TOOLBOXES if t.scope == scope), None)


def active_toolbox() -> Toolbox:
    """Return the default scope's toolbox, else the first that is installed.

    Raises:
        MissingPackageError: If none is installed.
    """
    scope = DefaultScope.get_current_instance()
    if scope is not None and (toolbox := find_toolbox(scope.scope_name)):
        return toolbox
    for toolbox in TOOLBOXES:
        if installed(toolbox.scope):
            return toolbox
    known = " or ".join(t.title for t in TOOLBOXES)
    command = how_to_install(TOOLBOXES[0].scope)
    raise MissingPackageError(
        f"nlse_mm's backbones need {known}, and none is installed{command}"
    )


def backbone_class(name: str) -> type:
    """Return the class registered under ``name``, in the active toolbox or its scope.

    Raises:
        MissingPackageError: If the toolbox is installed and can't be imported.
        UnknownNameError: If there is none of that name.
    """
    if "." not in name:
        toolbox = active_toolbox()
        name = f"{toolbox.scope}.{name}"
    scope, _, wanted = name.partition(".")
    if not scope:
        raise UnknownNameError(f"{name!r} has no scope before the dot")
    if why := why_broken(scope, "MODELS"):
        raise MissingPackageError(f"{name} is not to be had: {why}")
    try:
        found = MODELS.get(name)
    except RuntimeError:  # what MMEngine raises for a name that is nowhere
        found = None
    if found is None:
        raise UnknownNameError(_why_missing(scope, wanted))
    return found


def _why_missing(scope: str, name: str) -> str:
    toolbox = find_toolbox(scope)
    if toolbox and (instead := toolbox.lacks.get(name)):
        return f"{toolbox.title} has no {name}; {instead}"
    if scope not in MODELS.children and not installed(scope):
        command = how_to_install(scope)
        return f"{scope}.{name} is not found: {scope} isn't installed{command}"
    own = MODELS if scope == MODELS.scope else MODELS.children.get(scope)
    near = difflib.get_close_matches(name, own.module_dict if own else ())
    hint = f"; near it are {', '.join(map(repr, near))}" if near else ""
    return f"{scope} has no model {name!r}{hint}"


def package_of(cls: Any) -> str:
    """Return the package that a class, or a function, comes from."""
    return (getattr(cls, "__module__", None) or "").partition(".")[0]


def is_stock(cls: type) -> bool:
    """Return whether a class is a toolbox's own, or of MMCV or MMEngine."""
    return package_of(cls) in ("mmcv", "mmengine", *(t.scope for t in TOOLBOXES))


def installed(package: str) -> bool:
    """Return whether there is a ``package`` to import, without importing it."""
    try:
        return find_spec(package) is not None
    except (AttributeError, ImportError, TypeError, ValueError):  # not a name
        return False


@cache
def import_error(module: str) -> str | None:
    """Return what importing ``module`` raises; None if it can be imported.

    Tried once in a process: a second attempt could find half of a toolbox's names
    registered, and complain about those.
    """
    try:
        import_module(module)
    except Exception as error:  # an import is a program: anything may come out of it
        return reason(error)
    return None


@cache
def why_broken(scope: str, *kinds: str) -> str | None:
    """Return which import of an installed toolbox fails, and why; None if none.

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
        child = getattr(registry, name).children.get(scope)
        try:
            if child is not None:
                child.import_from_location()
        except Exception as error:  # as in import_error
            return f"the {name} of {scope} can't be imported: {reason(error)}"
    return None
