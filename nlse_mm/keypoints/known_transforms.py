"""List what the transforms of MMCV and MMDetection do to keypoints."""

import types
from typing import Any

import mmcv.transforms
import mmdet.datasets.transforms
import mmengine.dataset

_NONE = "there is none that takes keypoints along: leave it out"
_MIXED = _NONE + ", or use nlse_mm.AffineKeypoints"

# Move pixels, or drop instances, and not keypoints: what to use in their place.
_MOVING = dict(
    Resize="use nlse_mm.ResizeKeypoints",
    FixScaleResize="use nlse_mm.FixScaleResizeKeypoints",
    FixShapeResize="use nlse_mm.FixShapeResizeKeypoints",
    RandomFlip="use nlse_mm.FlipKeypoints",
    RandomFlip_GLIP="use nlse_mm.FlipKeypoints",
    RandomCrop="use nlse_mm.CropKeypoints",
    CenterCrop="use nlse_mm.CropKeypoints",
    MinIoURandomCrop="use nlse_mm.MinIoUCropKeypoints",
    Expand="use nlse_mm.ExpandKeypoints",
    RandomAffine="use nlse_mm.AffineKeypoints",
    Rotate="use nlse_mm.RotateKeypoints",
    ShearX="use nlse_mm.ShearXKeypoints",
    ShearY="use nlse_mm.ShearYKeypoints",
    TranslateX="use nlse_mm.TranslateXKeypoints",
    TranslateY="use nlse_mm.TranslateYKeypoints",
    GeomTransform="use nlse_mm.AffineKeypoints",
    RandomErasing="use nlse_mm.EraseKeypoints",
    FilterAnnotations="use nlse_mm.FilterKeypoints",
    RandomShift=_MIXED,
    RandomCenterCropPad=_NONE + ", or use nlse_mm.CropKeypoints",
    Mosaic=_MIXED,
    CachedMosaic=_MIXED,
    MixUp=_MIXED,
    CachedMixUp=_MIXED,
    CopyPaste=_MIXED,
    RandomSamplingNegPos=_NONE,
    LoadEmptyAnnotations=_NONE,
    MultiScaleFlipAug="use TestTimeAug with nlse_mm.ResizeKeypoints and "
    "nlse_mm.FlipKeypoints",
)
# Leave pixels and instances where they are, or only pad on the right and below.
_STILL = (
    *("AutoContrast", "Brightness", "Color", "ColorTransform", "Contrast", "Corrupt"),
    *("CutOut", "Equalize", "Invert", "Normalize", "PhotoMetricDistortion"),
    *("Posterize", "RandomGrayscale", "Sharpness", "Solarize", "SolarizeAdd"),
    *("YOLOXHSVRandomAug", "Pad", "SegRescale", "GTBoxSubOne_GLIP"),
    *("ImageToTensor", "ToTensor", "Transpose", "WrapFieldsToLists"),
    *("InferencerLoader", "LoadImageFromFile", "LoadImageFromNDArray"),
    *("LoadMultiChannelImageFromFiles", "LoadProposals", "LoadTextAnnotations"),
    *("BaseFrameSample", "UniformRefFrameSample", "PackReIDInputs", "PackTrackInputs"),
)
# Hold other transforms and do nothing else; Albu holds those of albumentations.
_WRAPPERS = (
    *("Albu", "AutoAugment", "Compose", "KeyMapper", "MultiBranch"),
    *("ProposalBroadcaster", "RandAugment", "RandomApply", "RandomChoice"),
    *("RandomChoiceResize", "RandomOrder", "RandomResize", "ResizeShortestEdge"),
    *("TestTimeAug", "TransformBroadcaster"),
)
_MODULES = (
    mmcv.transforms,
    mmdet.datasets.transforms,
    mmdet.datasets.transforms.formatting,
    mmdet.datasets.transforms.transforms,
    mmengine.dataset,
)


def _classes(*names: str) -> list[type]:
    """Return the classes of these names in every package that has one."""
    found = (getattr(module, name, None) for name in names for module in _MODULES)
    return [cls for cls in found if isinstance(cls, type)]


MOVING = {cls: advice for name, advice in _MOVING.items() for cls in _classes(name)}
STILL = frozenset(_classes(*_STILL))
WRAPPERS = frozenset(_classes(*_WRAPPERS))
LOADERS = frozenset(_classes("LoadAnnotations"))
PACKERS = frozenset(_classes("PackDetInputs"))
# Rewrites the instances before they are loaded, without keypoints.
REWRITING = frozenset(_classes("InstaBoost"))
KNOWN = STILL | WRAPPERS | LOADERS | PACKERS | REWRITING | MOVING.keys()


def known_base(transform: Any) -> type | None:
    """Return the class of MMCV or MMDetection that it is of, or inherits from."""
    return next((cls for cls in type(transform).__mro__ if cls in KNOWN), None)


def knows_keypoints(transform: Any) -> bool:
    """Say whether a transform claims so, or its own code names ``gt_keypoints``.

    Its own: what is above the class of MMCV or MMDetection that it inherits from.
    """
    if getattr(transform, "knows_keypoints", False):
        return True
    if isinstance(transform, types.FunctionType):
        return _names_keypoints(transform)
    classes = type(transform).__mro__
    base = known_base(transform)
    own = classes[: classes.index(base)] if base else classes
    return any(_names_keypoints(v) for cls in own for v in vars(cls).values())


def _names_keypoints(value: Any) -> bool:
    """Say whether ``'gt_keypoints'`` is, or is in, a value or a function's code."""
    if isinstance(value, property):
        return _names_keypoints(value.fget)
    if isinstance(value, (dict, tuple, list, set, frozenset)):
        return any(_names_keypoints(part) for part in value)
    value = getattr(value, "__wrapped__", getattr(value, "__func__", value))
    is_code = isinstance(value, types.CodeType)
    code = value if is_code else getattr(value, "__code__", None)
    if isinstance(code, types.CodeType):
        closure = getattr(value, "__closure__", None) or ()
        inner = [cell.cell_contents for cell in closure]
        return _names_keypoints(code.co_consts) or any(
            _names_keypoints(part)
            for part in inner
            if isinstance(part, types.FunctionType)
        )
    return value == "gt_keypoints" if isinstance(value, str) else False
