"""Draw skeletons on images."""

from typing import Any

import numpy as np
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from nlse_mm.arguments import checked
from nlse_mm.registry import VISUALIZERS

from .sides import side_of

LEFT, RIGHT, MIDDLE = (0, 170, 255), (255, 120, 0), (60, 220, 60)
_OF_SIDE = {"left": LEFT, "right": RIGHT, None: MIDDLE}


@VISUALIZERS.register_module()
@checked(at_least=dict(keypoint_threshold=0))
class KeypointVisualizer(DetLocalVisualizer):
    """Draw boxes as MMDetection does, and skeletons: left blue, right orange.

    Keypoints whose score is below ``keypoint_threshold`` are left out, and the limbs
    that end there; of ground truth, keypoints that aren't labelled, and hidden ones are
    rings.

    Args:
        name: As DetLocalVisualizer's.
        keypoint_threshold: Lowest score of a keypoint that is drawn, 0 to 1. A score is
            the share of a map's softmax in the best place, so 0.05 is much.
        show_keypoint_score: Whether to write the scores beside the keypoints.
        **kwargs: What DetLocalVisualizer takes.
    """

    def __init__(
        self,
        name: str = "visualizer",
        *,
        keypoint_threshold: float = 0.02,
        show_keypoint_score: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.keypoint_threshold = keypoint_threshold
        self.show_keypoint_score = show_keypoint_score

    def set_image(self, image: np.ndarray) -> None:
        """Set the image to draw on, whose frame keypoints on its border leave alone."""
        super().set_image(image)
        self.ax_save.autoscale(False)

    def _draw_instances(
        self, image: np.ndarray, instances: InstanceData, *args: Any, **kwargs: Any
    ) -> np.ndarray:
        drawn = super()._draw_instances(image, instances, *args, **kwargs)
        if "keypoints" not in instances or "keypoints" not in self.dataset_meta:
            return drawn
        self.set_image(drawn)
        scores = instances.get("keypoint_scores")
        sure = instances.get("keypoints_visible") if scores is None else scores
        for i, xy in enumerate(np.asarray(instances.keypoints)):
            self._draw_person(xy, np.asarray(sure[i]), is_truth=scores is None)
        return self.get_image()

    def _draw_person(self, xy: np.ndarray, sure: np.ndarray, is_truth: bool) -> None:
        names = list(self.dataset_meta["keypoints"])
        shown = sure > 0 if is_truth else sure >= self.keypoint_threshold
        extent = np.ptp(xy[shown], axis=0).max() if shown.any() else 0
        radius = float(np.clip(extent / 60, 2, 5))
        for pair in self.dataset_meta.get("skeleton") or ():
            a, b = (names.index(name) for name in pair)
            if shown[a] and shown[b]:
                sides = {_colour(names[a]), _colour(names[b])}
                colour = sides.pop() if len(sides) == 1 else MIDDLE
                self.draw_lines(
                    xy[[a, b], 0], xy[[a, b], 1], colour, line_widths=radius
                )
        for k in np.flatnonzero(shown):
            hidden = is_truth and sure[k] == 1
            colour = _colour(names[k])
            self.draw_circles(
                xy[k],
                np.array([1.5 * radius if hidden else radius]),
                edge_colors=colour,
                face_colors="none" if hidden else colour,
                line_widths=1,
                alpha=1,
            )
            if self.show_keypoint_score and not is_truth:
                self.draw_texts(
                    f"{sure[k]:.2f}", xy[k] + radius, font_sizes=6, colors=colour
                )


def _colour(name: str) -> tuple[int, int, int]:
    return _OF_SIDE[side_of(name)]
