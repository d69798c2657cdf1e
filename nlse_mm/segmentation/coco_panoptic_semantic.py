"""COCO panoptic's 133 classes as a data set for semantic segmentation."""

import colorsys
from pathlib import Path
from typing import Any

from mmengine.fileio import isdir, list_dir_or_file
from mmseg.datasets import BaseSegDataset

from nlse_mm.arguments import checked
from nlse_mm.errors import MissingFileError
from nlse_mm.registry import DATASETS

# In the order of the panoptic files, by id: a label is an index here.
THINGS = """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
    fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow,
    elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee,
    skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana,
    apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair,
    couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
    cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase,
    scissors, teddy bear, hair drier, toothbrush
"""
STUFF = """
    banner, blanket, bridge, cardboard, counter, curtain, door-stuff, floor-wood,
    flower, fruit, gravel, house, light, mirror-stuff, net, pillow, platform,
    playingfield, railroad, river, road, roof, sand, sea, shelf, snow, stairs, tent,
    towel, wall-brick, wall-stone, wall-tile, wall-wood, water-other, window-blind,
    window-other, tree-merged, fence-merged, ceiling-merged, sky-other-merged,
    cabinet-merged, table-merged, floor-other-merged, pavement-merged, mountain-merged,
    grass-merged, dirt-merged, paper-merged, food-other-merged, building-other-merged,
    rock-merged, wall-other-merged, rug-merged
"""


def _names(text: str) -> list[str]:
    return [" ".join(name.split()) for name in text.split(",")]


def _palette(things: int, stuff: int) -> list[list[int]]:
    """Return colours (R, G, B): vivid for things, pale for stuff.

    Steps of the golden ratio around the circle of hues keep any few neighbours in the
    list apart.
    """
    colours = []
    for i in range(things + stuff):
        hue = i * 0.618034 % 1
        saturation, value = (0.9, 1 - i % 3 * 0.15) if i < things else (0.4, 0.75)
        colours.append(
            [int(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value)]
        )
    return colours


@DATASETS.register_module()
@checked
class CocoPanopticSemanticDataset(BaseSegDataset):
    """Read COCO's images with one of panoptic's 133 classes (80 things) a pixel.

    `Panoptic Segmentation <https://arxiv.org/abs/1801.00868>`_, with the instances
    forgotten; 53 of the classes are stuff. ``tools/data/panoptic_to_semantic.py`` makes
    the labels::

        data/coco
            train2017/000000000009.jpg           the images
            semantic/train2017/000000000009.png  a byte a pixel, 0 to 132; 255: none

    It lists the labels, not the images as ``BaseSegDataset`` does, so that images
    without labels are left out instead of ending the training when they come up.

    Args:
        img_suffix: End of an image's name.
        seg_map_suffix: End of a label's name; the rest is the image's.
        kwargs: The arguments of MMSegmentation's ``BaseSegDataset``: ``data_root``,
            ``data_prefix=dict(img_path=..., seg_map_path=...)``, ``pipeline``, and so
            on. A list of names in ``ann_file`` takes the place of the listing.

    Raises:
        MissingFileError: If there are no labels, or a label's image is missing.
    """

    METAINFO = dict(
        classes=tuple(_names(THINGS) + _names(STUFF)), palette=_palette(80, 53)
    )

    def __init__(
        self, *, img_suffix: str = ".jpg", seg_map_suffix: str = ".png", **kwargs: Any
    ):
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return one record a label, in the order of the names."""
        if self.ann_file:
            return super().load_data_list()
        images, labels = (self.data_prefix[k] for k in ("img_path", "seg_map_path"))
        names = self._listing(labels, self.seg_map_suffix)
        if not names:
            raise MissingFileError(
                f"data_prefix.seg_map_path: there are no *{self.seg_map_suffix} in "
                f"{labels}; tools/data/panoptic_to_semantic.py makes them"
            )
        absent = sorted(names - self._listing(images, self.img_suffix))
        if absent:
            raise MissingFileError(
                f"data_prefix.img_path: {len(absent)} of the {len(names)} labels in "
                f"{labels} have no image in {images}, the first is "
                f"{absent[0]}{self.img_suffix}"
            )
        return [
            dict(
                img_path=str(Path(images, name + self.img_suffix)),
                seg_map_path=str(Path(labels, name + self.seg_map_suffix)),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for name in sorted(names)
        ]

    def _listing(self, folder: str, suffix: str) -> set[str]:
        """Return the names without ``suffix`` of the files in ``folder``."""
        if not isdir(folder, backend_args=self.backend_args):
            return set()
        files = list_dir_or_file(
            folder,
            list_dir=False,
            suffix=suffix,
            recursive=True,
            backend_args=self.backend_args,
        )
        return {name.removesuffix(suffix) for name in files}
