"""It learns: eight real images by heart.

Measured on two AMD EPYC cores: keypoint AP 0.957 and box AP 1.000 after 500 steps of
four images, in 4 minutes 55 seconds.
"""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

ROOT = Path("data/coco")
FILE = ROOT / "annotations/person_keypoints_train2017.json"


def eight_images(content):
    """The first with one to three people, all large and with ten keypoints or more."""
    people = {}
    for annotation in content["annotations"]:
        people.setdefault(annotation["image_id"], []).append(annotation)
    chosen = [
        image
        for image in content["images"]
        if 1 <= len(people.get(image["id"], [])) <= 3
        and all(
            a["num_keypoints"] >= 10 and a["area"] >= 96**2 and not a["iscrowd"]
            for a in people[image["id"]]
        )
    ][:8]
    kept = [a for image in chosen for a in people[image["id"]]]
    return dict(content, images=chosen, annotations=kept)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.usefixtures("in_mmdet")
def test_eight_images_are_learnt_by_heart(tmp_path):
    if not FILE.is_file():
        pytest.skip(f"{FILE} is not there")
    subset = eight_images(json.loads(FILE.read_text()))
    assert len(subset["images"]) == 8
    ann_file = tmp_path / "eight.json"
    ann_file.write_text(json.dumps(subset))
    cfg = Config.fromfile("configs/tiny/keypoint_rcnn_r18_nl.py")
    scale = (256, 256)
    data = dict(
        type="nlse_mm.CocoKeypointDataset",
        data_root="",
        ann_file=str(ann_file),
        data_prefix=dict(img=str(ROOT / "train2017")),
    )
    resize = dict(type="nlse_mm.ResizeKeypoints", scale=scale, keep_ratio=True)
    pipeline = cfg.train_dataloader.dataset.pipeline
    train = dict(data, pipeline=[*pipeline[:2], resize, pipeline[-1]])
    pipeline = cfg.test_dataloader.dataset.pipeline
    test = dict(
        data,
        pipeline=[pipeline[0], resize, *pipeline[2:]],
        test_mode=True,
    )
    steps = 500
    cfg.merge_from_dict(
        dict(
            work_dir=str(tmp_path),
            train_dataloader=dict(
                batch_size=4, num_workers=0, dataset=dict(train, _delete_=True)
            ),
            val_dataloader=dict(num_workers=0, dataset=dict(test, _delete_=True)),
            val_evaluator=dict(ann_file=str(ann_file)),
            train_cfg=dict(max_epochs=steps // 2, val_interval=steps),
            default_hooks=dict(
                checkpoint=dict(interval=-1),
                visualization=dict(draw=True, interval=1),  # to look at
            ),
        )
    )
    cfg.param_scheduler[1].T_max = steps // 2
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.val_evaluator
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.val_loop.run()["coco/keypoints_mAP"] >= 0.8
