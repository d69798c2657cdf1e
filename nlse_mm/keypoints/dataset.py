"""People and their joints, from COCO's person_keypoints_*.json."""

from typing import Any

import numpy as np
from mmdet.datasets import CocoDataset
from pycocotools.coco import COCO

from nlse_mm.arguments import checked
from nlse_mm.registry import DATASETS

from .metainfo import COCO_PERSON, KEYS, check_metainfo, flip_indices


@DATASETS.register_module()
@checked
class CocoKeypointDataset(CocoDataset):
    """``CocoDataset`` with joints: ``keypoints`` (K, 3) for each instance.

    x and y are in pixels, continuous: the file's pixel index + 0.5. The third number is
    COCO's visibility: 0 not labelled (x and y stay 0), 1 hidden, 2 seen. Instances
    without any labelled joint stay: they teach the boxes.

    Joints other than COCO's 17 are given by ``metainfo``, all four keys together; see
    ``check_metainfo``.

    Args:
        filter_cfg: As CocoDataset's; also ``min_keypoints``: training leaves out images
            with fewer labelled joints (Detectron: 1).

    Raises:
        ValueError: If the joints don't fit each other or the file.
    """

    METAINFO = dict(classes=("person",), palette=[(220, 20, 60)], **COCO_PERSON)

    def __init__(self, *args: Any, metainfo: dict | None = None, **kwargs: Any) -> None:
        given = set(metainfo or {}) & set(KEYS)
        if "keypoints" in given and given != set(KEYS):
            raise ValueError(
                f"metainfo has keypoints but no {sorted(set(KEYS) - given)}: other "
                "joints than COCO's need all of them (flip_pairs=None: unknown)"
            )
        super().__init__(*args, metainfo=metainfo, **kwargs)

    def COCOAPI(self, path: str) -> Any:  # noqa: N802 (the parent's name)
        """The open annotation file, checked: the parent calls this."""
        coco = CocoDataset.COCOAPI(path)
        check_metainfo(self.metainfo)
        self._flip_indices = flip_indices(self.metainfo)
        check_categories(coco, self.metainfo, path)
        return coco

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """The parent's, one annotation at a time, so that it may leave some out."""
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

    def _keypoints(self, annotation: dict) -> np.ndarray:
        """(K, 3) of one annotation; all zero for one without joints."""
        K = len(self.metainfo["keypoints"])
        flat = annotation.get("keypoints") or [0] * (3 * K)
        if len(flat) != 3 * K:
            raise ValueError(
                f"{self.ann_file}: annotation {annotation['id']} has {len(flat)} "
                f"numbers in keypoints, not {3 * K} (x, y, visibility of {K} joints)"
            )
        keypoints = np.array(flat, dtype=np.float32).reshape(K, 3)
        keypoints[:, :2] += 0.5
        keypoints[keypoints[:, 2] == 0] = 0
        return keypoints

    def filter_data(self) -> list[dict]:
        """The parent's, then by ``min_keypoints``."""
        infos = super().filter_data()
        fewest = (self.filter_cfg or {}).get("min_keypoints", 0)
        if self.test_mode or not fewest:
            return infos
        return [info for info in infos if _labelled(info) >= fewest]


def _labelled(info: dict) -> int:
    instances = (i for i in info["instances"] if not i["ignore_flag"])
    return sum(int((i["keypoints"][:, 2] > 0).sum()) for i in instances)


def check_categories(coco: COCO, metainfo: dict, path: str) -> None:
    """Check that the file's joints are the config's.

    Raises:
        ValueError: If the file has no joints, no such class, or other joints.
    """
    classes, wanted = metainfo["classes"], tuple(metainfo["keypoints"])
    categories = {c["name"]: c for c in coco.dataset["categories"]}
    missing = [name for name in classes if name not in categories]
    if missing:
        raise ValueError(f"{path} has no category {missing}: {sorted(categories)}")
    for name in classes:
        found = categories[name].get("keypoints")
        if found is None:
            raise ValueError(
                f"{path} has no keypoints in its category {name!r}: a "
                "person_keypoints_*.json is needed, not an instances_*.json"
            )
        if tuple(found) != wanted:
            raise ValueError(
                f"{path} has {len(found)} keypoints {tuple(found)} in its category "
                f"{name!r}, and the config's metainfo has {len(wanted)}: {wanted}"
            )
