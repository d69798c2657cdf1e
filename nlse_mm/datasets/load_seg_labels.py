"""Load labels for semantic segmentation, and say what is wrong with them."""

from typing import Any

from mmseg.datasets.transforms import LoadAnnotations

from nlse_mm.arguments import checked
from nlse_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
@checked(at_least=dict(num_classes=1))
class LoadSegLabels(LoadAnnotations):
    """MMSegmentation's ``LoadAnnotations``, with the labels checked.

    Without it, a label that the model has no class for ends as a device-side assertion
    on a GPU, and labels of another size than their photo's are resized or cropped to
    something that looks right and isn't. Costs two passes over the labels' bytes, about
    0.1 ms for a photo of COCO.

    Args:
        num_classes: Labels are 0 to ``num_classes - 1``, after ``reduce_zero_label``
            and the data set's choice of classes.
        ignore_index: The label of pixels that don't count.
        kwargs: The arguments of MMSegmentation's ``LoadAnnotations``.

    Raises:
        ValueError: For a label out of range, labels that aren't one number a pixel, and
            labels of another size than their photo.
        FileNotFoundError: For a photo without labels.
    """

    def __init__(self, *, num_classes: int, ignore_index: int = 255, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def _load_seg_map(self, results: dict) -> None:
        path, photo = results["seg_map_path"], results["img_path"]
        try:
            super()._load_seg_map(results)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"the photo {photo} has no labels: {path} doesn't exist"
            ) from error
        labels = results["gt_seg_map"]
        if labels.ndim != 2:
            raise ValueError(
                f"the labels {path} are a colour image, not one label a pixel"
            )
        # The test pipeline loads labels after it has resized the photo.
        size = tuple(results["ori_shape"][:2])
        if labels.shape != size:
            raise ValueError(
                f"the labels {path} are {labels.shape[0]} x {labels.shape[1]} (H x W), "
                f"their photo {photo} is {size[0]} x {size[1]}"
            )
        wrong = labels[(labels >= self.num_classes) & (labels != self.ignore_index)]
        if wrong.size:
            raise ValueError(
                f"the labels {path} have {wrong.max()}, but num_classes="
                f"{self.num_classes} allows 0 to {self.num_classes - 1} "
                f"and {self.ignore_index} for no label"
            )
