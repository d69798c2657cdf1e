"""Run inference from Python that returns keypoints."""

from pathlib import Path
from typing import Any

import mmengine
from mmdet.apis import DetInferencer
from mmdet.structures import DetDataSample


class KeypointInferencer(DetInferencer):
    """Add the keypoints to the dictionaries and JSON files of ``DetInferencer``.

    ``keypoints`` (N, K, 2) in pixels of the image and ``keypoint_scores`` (N, K) stand
    beside ``bboxes``, ``labels`` and ``scores``. MMDetection's own writes these three
    and the masks, and leaves out whatever else a model finds.
    """

    def pred2dict(
        self, data_sample: DetDataSample, pred_out_dir: str = ""
    ) -> dict[str, Any]:
        """Turn a prediction into lists; with ``pred_out_dir``, write its JSON too."""
        result = super().pred2dict(data_sample)
        for key in ("keypoints", "keypoint_scores"):
            if key in data_sample.pred_instances:
                result[key] = data_sample.pred_instances[key].tolist()
        if pred_out_dir:
            stem = f"{self.num_predicted_imgs}"  # of an image that has no path
            if data_sample.get("img_path"):
                stem = Path(data_sample.img_path).stem
            else:
                self.num_predicted_imgs += 1
            mmengine.dump(result, Path(pred_out_dir, "preds", f"{stem}.json"))
        return result
