"""Read people and their keypoints from COCO's person_keypoints_*.json."""

from typing import Any

import numpy as np
from mmdet.datasets import CocoDataset

from nlse_mm.arguments import checked
from nlse_mm.errors import ConfigError
from nlse_mm.registry import DATASETS

from .annotation_file import index, read_keypoints
from .check_pipeline import ChecksPipeline
from .metainfo import COCO_PERSON, KEYS, check_metainfo, flip_indices


@DATASETS.register_module()
@checked
class CocoKeypointDataset(ChecksPipeline, CocoDataset):
    """Add ``keypoints`` (K, 3) to each instance of ``CocoDataset``.

    x and y are in pixels, continuous: the file's pixel index + 0.5. The third number is
    COCO's visibility: 0 not labelled (x and y stay 0), 1 hidden, 2 seen. Instances
    without any labelled keypoint stay: the box head learns from them.

    Keypoints other than COCO's 17 are given by ``metainfo``, all four keys together;
    see ``check_metainfo``.

    Args:
        filter_cfg: As CocoDataset's; also ``min_keypoints``: training leaves out images
            with fewer labelled keypoints (Detectron: 1).

    Raises:
        ConfigError: If the keypoints don't fit each other or the file, or the file is
            wrong; what it may lack, ``read_keypoints`` says; or a
            transform of the pipeline leaves keypoints behind.
    """

    METAINFO = dict(classes=("person",), palette=[(220, 20, 60)], **COCO_PERSON)

    def __init__(self, *args: Any, metainfo: dict | None = None, **kwargs: Any) -> None:
        given = set(metainfo or {}) & set(KEYS)
        if "keypoints" in given and given != set(KEYS):
            raise ConfigError(
                f"metainfo has keypoints but no {sorted(set(KEYS) - given)}: other "
                "keypoints than COCO's need all of them (flip_pairs=None: unknown)"
            )
        super().__init__(*args, metainfo=metainfo, **kwargs)

    def COCOAPI(self, path: str) -> Any:  # noqa: N802 (the parent's name)
        """Open the annotation file, cleaned: the parent calls this."""
        check_metainfo(self.metainfo)
        self._flip_indices = flip_indices(self.metainfo)
        steps = self.pipeline.transforms
        content = read_keypoints(
            path,
            self.metainfo["classes"],
            self.metainfo["keypoints"],
            name=self.ann_file,
            with_annotations=not self.test_mode,
            with_masks=any(getattr(step, "with_mask", False) for step in steps),
        )
        coco = index(content, CocoDataset.COCOAPI())
        coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
        return coco

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any]:
        """Parse one annotation at a time, of which the parent may leave some out."""
        image = raw_data_info["raw_img_info"]
        info = super().parse_data_info(dict(raw_img_info=image, raw_ann_info=[]))
        for annotation in raw_data_info["raw_ann_info"]:
            raw = dict(raw_img_info=image, raw_ann_info=[annotation])
            for instance in super().parse_data_info(raw)["instances"]:
                instance["keypoints"] = self._keypoints(annotation)
                info["instances"].append(instance)
        info["num_keypoints"] = len(self.metainfo["keypoints"])
        info["flip_indices"] = self._flip_indices
        return info

    def _keypoints(self, annotation: dict[str, Any]) -> np.ndarray:
        """Return (K, 3) of one annotation; all zero for one without keypoints."""
        keypoints = np.array(annotation["keypoints"], dtype=np.float32).reshape(-1, 3)
        keypoints[:, :2] += 0.5  # a pixel's centre, from its index
        keypoints[keypoints[:, 2] == 0] = 0
        return keypoints

    def filter_data(self) -> list[dict[str, Any]]:
        """Filter as the parent does, then by ``min_keypoints``."""
        infos = super().filter_data()
        fewest = (self.filter_cfg or {}).get("min_keypoints", 0)
        if not self.test_mode and fewest:
            infos = [info for info in infos if _labelled(info) >= fewest]
        if not infos:
            raise ConfigError(
                f"{self.ann_file}: filter_cfg={self.filter_cfg} leaves none of its "
                f"{len(self.data_list)} images"
            )
        return infos


def _labelled(info: dict[str, Any]) -> int:
    """Count the labelled keypoints of an image."""
    instances = (i for i in info["instances"] if not i["ignore_flag"])
    return sum(int((i["keypoints"][:, 2] > 0).sum()) for i in instances)
