"""Check that a data set's transforms move its keypoints, when it is built."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mmcv.transforms import BaseTransform
from mmcv.transforms import Compose as ComposeOfMMCV
from mmcv.transforms import LoadAnnotations as LoadAnnotationsOfMMCV
from mmcv.transforms import Resize as ResizeOfMMCV
from mmdet.datasets.transforms import Albu
from mmengine.dataset import Compose

from nlse_mm.errors import ConfigError

from .formatting import PackKeypoints
from .known_transforms import (
    LOADERS,
    MOVING,
    PACKERS,
    REWRITING,
    WRAPPERS,
    known_base,
    knows_keypoints,
)
from .loading import LoadKeypoints
from .moved import PipelineWithChecks


class ChecksPipeline:
    """Check a data set's ``pipeline`` whenever it is set, hooks that switch it too."""

    test_mode: bool

    @property
    def pipeline(self) -> Compose:
        """Return the transforms that make a sample."""
        return self._pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Compose) -> None:
        self._pipeline = check_pipeline(pipeline, self.test_mode)


def check_pipeline(pipeline: Compose, test_mode: bool) -> Compose:
    """Refuse transforms that leave keypoints behind; check unknown ones at run time.

    Args:
        pipeline: Built transforms.
        test_mode: Whether the samples are for testing, where the ground truth comes
            from the file and may be left out.

    Raises:
        ConfigError: Naming the first transform that doesn't fit, and what does.
    """
    found = Found()
    unknown = []
    for i, transform in enumerate(pipeline.transforms):
        before = len(found.unknown)
        found.visit(transform, ())
        if len(found.unknown) > before:
            unknown.append(i)
    is_packed_without = found.stock_packer and not found.packs_keypoints
    if found.refusals and not (test_mode and is_packed_without):
        raise ConfigError(found.refusals[0])
    if not test_mode:
        _check_ends(found)
    if not unknown:
        return pipeline
    warnings.warn(
        f"it isn't known whether {', '.join(found.unknown)} in the pipeline of "
        "CocoKeypointDataset moves keypoints with their image: every sample is "
        "checked; knows_keypoints = True in its class says that it does, or moves "
        "nothing",
        stacklevel=2,
    )
    return PipelineWithChecks(pipeline.transforms, unknown)


def _check_ends(found: "Found") -> None:
    """Check that keypoints are loaded if packed, and packed if loaded."""
    if found.packs_keypoints and found.stock_loader and not found.may_load:
        raise ConfigError(
            f"the pipeline packs keypoints, and {found.stock_loader} loads none: use "
            "nlse_mm.LoadKeypoints in its place"
        )
    if found.is_loaded and found.stock_packer and not found.packs_keypoints:
        raise ConfigError(
            f"the pipeline loads keypoints, and {found.stock_packer} drops them: use "
            "nlse_mm.PackKeypoints in its place"
        )


@dataclass
class Found:
    """Collect what is met on the way through a pipeline."""

    is_loaded: bool = False  # whether there are keypoints, here
    may_load: bool = False  # whether anything so far may have loaded keypoints
    boxes_are_arrays: bool = False
    packs_keypoints: bool = False
    stock_loader: str | None = None
    stock_packer: str | None = None
    # Those that rewrite the instances, and what they are in.
    rewriting: list[tuple[Any, tuple[Any, ...]]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def visit(self, transform: Any, above: tuple[Any, ...]) -> None:
        """Go through one transform, and through those in it."""
        base = known_base(transform)
        if isinstance(transform, LoadKeypoints):
            self.is_loaded = self.may_load = True
            self.boxes_are_arrays = transform.box_type is None
            for earlier, around in self.rewriting:
                advice = "there is none that keeps them: leave it out"
                self._refuse(earlier, around, advice)
        elif base is LoadAnnotationsOfMMCV and transform.with_keypoints:
            self.is_loaded = self.may_load = self.boxes_are_arrays = True
        elif isinstance(transform, PackKeypoints):
            self.packs_keypoints = True
        elif knows_keypoints(transform):
            self.may_load |= base is None or base in LOADERS
            self.is_loaded |= base in LOADERS
            self.packs_keypoints |= base in PACKERS
        elif base in LOADERS:
            self.stock_loader = _name(transform)
        elif base in PACKERS:
            self.stock_packer = _name(transform)
        elif base in REWRITING:
            self.rewriting.append((transform, above))
        elif base is ResizeOfMMCV and self.boxes_are_arrays:
            pass  # moves arrays of boxes, and keypoints, and can't move other boxes
        elif base in MOVING:
            self._refuse_if_loaded(transform, above, MOVING[base])
        elif moving := _moving_part_of_albu(transform, base):
            self._refuse_if_loaded(transform, above, f"leave its {moving} out")
        elif base not in WRAPPERS or not _maps_another_image(transform):
            self._visit_parts(transform, above)
            if self.is_loaded and type(transform) is not base:
                self.unknown.append(_name(transform))

    def _visit_parts(self, transform: Any, above: tuple[Any, ...]) -> None:
        for branches in _parts(transform):
            start = self.is_loaded
            ends = []
            for branch in branches:
                self.is_loaded = start
                for part in branch:
                    self.visit(part, (*above, transform))
                ends.append(self.is_loaded)
            self.is_loaded = any(ends)

    def _refuse_if_loaded(
        self, transform: Any, above: tuple[Any, ...], advice: str
    ) -> None:
        if self.is_loaded:
            self._refuse(transform, above, advice)

    def _refuse(self, transform: Any, above: tuple[Any, ...], advice: str) -> None:
        names = [_name(t) for t in above if type(t) not in (Compose, ComposeOfMMCV)]
        inside = f" in {' > '.join(names)}" if names else ""
        if above and hasattr(above[-1], "resize_cfg"):
            advice += f" as the resize_type of {names[-1]}"
        if type(transform) is not known_base(transform):
            advice += "; if it does so itself, set knows_keypoints = True in its class"
        self.refusals.append(
            f"the pipeline of CocoKeypointDataset has {_name(transform)}{inside}, "
            f"which doesn't keep keypoints with image and boxes: {advice}"
        )


def _name(transform: Any) -> str:
    return getattr(transform, "__name__", type(transform).__name__)


def _is_compose(value: Any) -> bool:
    return isinstance(value, (Compose, ComposeOfMMCV))


def _is_transform(value: Any) -> bool:
    return isinstance(value, (BaseTransform, Compose))


def _parts(transform: Any) -> Iterator[list[list[Callable]]]:
    """Yield transforms held by another: by attribute the branches, each a sequence.

    A list or dict of ``Compose`` is of branches of which one is taken, or each for
    itself; a list of other transforms is one sequence.
    """
    for key, value in getattr(transform, "__dict__", {}).items():
        values = list(value.values()) if isinstance(value, dict) else value
        if _is_transform(value):
            yield [[value]]
        elif isinstance(values, (list, tuple)):
            own = key == "transforms" and _is_compose(transform)
            held = [v for v in values if _is_transform(v) or (own and callable(v))]
            if held and all(map(_is_compose, held)):
                yield [[v] for v in held]
            elif held:
                yield [held]


def _maps_another_image(transform: Any) -> bool:
    """Say whether a ``KeyMapper`` gives its transforms another image than ``img``."""
    sources = (getattr(transform, "mapping", None) or {}).get("img", "img")
    return "img" not in (sources if isinstance(sources, (list, tuple)) else [sources])


def _moving_part_of_albu(transform: Any, base: type | None) -> str | None:
    """Name the first of albumentations' transforms in it that may move pixels."""
    waiting = [transform.aug] if base is Albu else []
    while waiting:
        one = waiting.pop(0)
        names = {cls.__name__ for cls in type(one).__mro__}
        if hasattr(one, "transforms"):
            waiting = [*one.transforms, *waiting]
        elif not names & {"ImageOnlyTransform", "NoOp"}:
            return type(one).__name__
    return None
