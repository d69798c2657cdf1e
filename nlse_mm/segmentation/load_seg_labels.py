"""Load labels for semantic segmentation, and refuse wrong ones."""

from typing import Any

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError, MissingFileError
from nlse_mm.registry import TRANSFORMS

from .label_file import check_depth, kind_of

_PATIENCE = 500  # images of two classes that may show one of them alone


@TRANSFORMS.register_module()
@checked(at_least=dict(num_classes=1))
class LoadSegLabels(LoadAnnotations):
    """Load labels as MMSegmentation's ``LoadAnnotations`` does, and check them.

    Without it, a label that the model has no class for ends as a device-side assertion
    on a GPU, a label above 255 becomes another one, and labels of another size than
    their image's are resized or cropped to something that seems right and isn't. Costs
    two passes over the labels' bytes and reading the file's header, about 0.2 ms for an
    image of COCO.

    Args:
        num_classes: Labels are 0 to ``num_classes - 1``, after ``reduce_zero_label``
            and the data set's choice of classes.
        ignore_index: The label of pixels that don't count.
        kwargs: The arguments of MMSegmentation's ``LoadAnnotations``.

    Raises:
        ConfigError: For a label out of range, labels that aren't one number of a byte a
            pixel, labels of another size than their image, and masks that show 0 and
            ``ignore_index`` alone where there are two classes.
        MissingFileError: For an image without labels.
    """

    def __init__(self, *, num_classes: int, ignore_index: int = 255, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self._images = 0
        self._seen: set[int] = set()

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        path, image = results["seg_map_path"], results["img_path"]
        self._check_reduce_zero_label(results)
        try:
            kind = kind_of(path)
            if kind.is_deep:
                content = fileio.get(path, backend_args=self.backend_args)
                raw = mmcv.imfrombytes(
                    content, "unchanged", "bgr", self.imdecode_backend
                )
                check_depth(raw, path, kind)
            super()._load_seg_map(results)
        except FileNotFoundError as error:
            raise MissingFileError(
                f"the image {image} has no labels: {path} doesn't exist"
            ) from error
        except OSError as error:
            raise ConfigError(f"the labels {path} can't be read: {error}") from error
        labels = results["gt_seg_map"]
        if labels.ndim != 2:
            raise ConfigError(
                f"the labels {path} are a colour image, not one label a pixel"
                f"{kind.colour(self.imdecode_backend)}"
            )
        # The test pipeline loads labels after it has resized the image.
        size = tuple(results["ori_shape"][:2])
        if labels.shape != size:
            raise ConfigError(
                f"the labels {path} are {labels.shape[0]} x {labels.shape[1]} (H x W), "
                f"their image {image} is {size[0]} x {size[1]}"
            )
        self._check_range(labels, path, kind.reason)
        if self.num_classes == 2 and self._images < _PATIENCE:
            self._check_masks(labels, path)

    def _check_reduce_zero_label(self, results: dict[str, Any]) -> None:
        mine, datasets = self.reduce_zero_label, results["reduce_zero_label"]
        if mine is not None and mine != datasets:
            raise ConfigError(
                f"LoadSegLabels.reduce_zero_label={mine}, but the data set has "
                f"reduce_zero_label={datasets}: set it in the data set alone"
            )

    def _check_range(self, labels: np.ndarray, path: str, reason: str) -> None:
        counted = labels[labels != self.ignore_index]
        if not counted.size or counted.max() < self.num_classes:
            return
        if not reason and counted.min() > 0 and counted.max() == self.num_classes:
            reason = (
                f"; it has no 0: labels of 1 to {self.num_classes} need "
                "reduce_zero_label=True in the data set"
            )
        raise ConfigError(
            f"the labels {path} have {counted.max()}, but num_classes="
            f"{self.num_classes} allows 0 to {self.num_classes - 1} "
            f"and {self.ignore_index} for no label{reason}"
        )

    def _check_masks(self, labels: np.ndarray, path: str) -> None:
        """Count the images of two classes until both have occurred."""
        self._seen.update(np.unique(labels).tolist())
        classes = self._seen - {self.ignore_index}
        both = len(classes) > 1
        self._images = _PATIENCE if both else self._images + 1
        if not both and self._images == _PATIENCE and self.ignore_index in self._seen:
            only = min(classes, default="none")
            raise ConfigError(
                f"{_PATIENCE} label images, the last one {path}, have no pixel of any "
                f"class but {only}, and {self.ignore_index}, which is no label: with "
                "num_classes=2 the classes are 0 and 1, so a class written as "
                f"{self.ignore_index} has to become 1"
            )
