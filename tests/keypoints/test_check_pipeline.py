"""What doesn't keep keypoints is refused when the data set is built."""

import copy
import json
import warnings

import cv2
import mmcv.transforms
import mmdet.datasets.transforms.transforms as stock
import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmdet.datasets import MultiImageMixDataset
from mmdet.datasets.transforms import InstaBoost
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, TRANSFORMS

from nlse_mm.keypoints.check_pipeline import check_pipeline
from nlse_mm.keypoints.known_transforms import known_base
from nlse_mm.keypoints.moved import PipelineWithChecks

pytestmark = pytest.mark.usefixtures("in_mmdet")
IMAGE = dict(type="LoadImageFromFile")
LOAD = dict(type="nlse_mm.LoadKeypoints", with_bbox=True)
STOCK_LOAD = dict(type="LoadAnnotations", with_bbox=True)
PACK = dict(type="nlse_mm.PackKeypoints")
STOCK_PACK = dict(type="PackDetInputs")
RESIZE = dict(type="Resize", scale=(240, 180), keep_ratio=True)
FLIP = dict(type="RandomFlip", prob=1.0)
OUR_FLIP = dict(type="nlse_mm.FlipKeypoints", prob=1.0)
OUR_RESIZE = dict(type="nlse_mm.ResizeKeypoints", scale=(240, 180))
COLOUR = dict(type="PhotoMetricDistortion")


@pytest.fixture
def build(tmp_path, people):
    """Build a data set of one person, all keypoints in one place in its box."""
    content = people[1]
    annotation = content["annotations"][0] | dict(
        bbox=[70, 50, 40, 30], keypoints=[90, 65, 2] * 17, num_keypoints=17, image_id=1
    )
    one = content | dict(images=content["images"][:1], annotations=[annotation])
    (tmp_path / "one.json").write_text(json.dumps(one))
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3))
    cv2.imwrite(str(tmp_path / "1.png"), image)

    def built(*pipeline, **kwargs):
        return DATASETS.build(
            dict(
                type="nlse_mm.CocoKeypointDataset",
                ann_file=str(tmp_path / "one.json"),
                data_prefix=dict(img=f"{tmp_path}/"),
                pipeline=copy.deepcopy(list(pipeline)),
            )
            | kwargs
        )

    return built


def instances(dataset):
    return dataset[0]["data_samples"].gt_instances


def share_in_box(found):
    boxes = found.bboxes.tensor[:, None]
    inside = (found.keypoints >= boxes[..., :2]) & (found.keypoints <= boxes[..., 2:])
    return inside.all(-1).float().mean()


def test_the_stock_resize_and_flip_are_refused_and_ours_are_right(build):
    with pytest.raises(
        ValueError, match=r"has Resize, .*: use nlse_mm\.ResizeKeypoints"
    ):
        build(IMAGE, LOAD, RESIZE, FLIP, PACK)
    found = instances(build(IMAGE, LOAD, OUR_RESIZE, OUR_FLIP, PACK))
    assert found.bboxes.tensor.tolist() == [[20, 100, 100, 160]]
    assert (found.keypoints == found.keypoints.new_tensor([59, 131])).all()


MOVING = [
    (RESIZE, "ResizeKeypoints"),
    (dict(type=mmcv.transforms.Resize, scale=(240, 180)), "ResizeKeypoints"),
    (dict(type=mmcv.transforms.RandomFlip, prob=1.0), "FlipKeypoints"),
    (dict(type=mmcv.transforms.CenterCrop, crop_size=(60, 60)), "CropKeypoints"),
    (dict(type="FixScaleResize", scale=(240, 180)), "FixScaleResizeKeypoints"),
    (dict(type="FixShapeResize", width=240, height=180), "FixShapeResizeKeypoints"),
    (FLIP, "FlipKeypoints"),
    (dict(type="RandomFlip_GLIP", prob=1.0), "FlipKeypoints"),
    (dict(type="RandomCrop", crop_size=(60, 60)), "CropKeypoints"),
    (dict(type="MinIoURandomCrop"), "MinIoUCropKeypoints"),
    (dict(type="Expand"), "ExpandKeypoints"),
    (dict(type="RandomAffine"), "AffineKeypoints"),
    (dict(type="Rotate"), "RotateKeypoints"),
    (dict(type="TranslateX"), "TranslateXKeypoints"),
    (dict(type="RandomErasing", n_patches=1, ratio=0.1), "EraseKeypoints"),
    (dict(type="FilterAnnotations"), "FilterKeypoints"),
    (dict(type="RandomShift"), "leave it out, or use nlse_mm.AffineKeypoints"),
    (dict(type="CachedMosaic"), "leave it out, or use nlse_mm.AffineKeypoints"),
    (dict(type="CachedMixUp"), "leave it out, or use nlse_mm.AffineKeypoints"),
    (dict(type="CopyPaste"), "leave it out, or use nlse_mm.AffineKeypoints"),
    (dict(type="LoadEmptyAnnotations"), "leave it out"),
]


@pytest.mark.parametrize(
    ("step", "instead"), MOVING, ids=[str(step["type"]) for step, _ in MOVING]
)
def test_what_moves_pixels_without_keypoints_names_what_to_use(build, step, instead):
    with pytest.raises(ValueError, match="doesn't keep keypoints") as refused:
        build(IMAGE, LOAD, COLOUR, step, PACK)
    assert str(refused.value).endswith(instead)


def test_instances_rewritten_before_the_loading_are_refused(build):
    boost = object.__new__(InstaBoost)  # its package need not be installed
    with pytest.raises(
        ValueError, match="has InstaBoost, which doesn't keep keypoints"
    ):
        build(IMAGE, boost, LOAD, PACK)
    assert len(build(IMAGE, boost, STOCK_LOAD, STOCK_PACK)) == 1


def test_the_resize_of_mmcv_is_right_for_arrays_of_boxes(build):
    resize = dict(type=mmcv.transforms.Resize, scale=(240, 180))
    of_mmcv = dict(type=mmcv.transforms.LoadAnnotations, with_keypoints=True)
    for load in (LOAD | dict(box_type=None), of_mmcv):
        found = instances(build(IMAGE, load, resize, PACK))
        assert found.bboxes.tolist() == [[140, 100, 220, 160]]
        assert (found.keypoints == found.keypoints.new_tensor([181, 131])).all()


def test_our_own_in_their_place_are_accepted():
    for _, instead in MOVING:
        if instead.endswith("Keypoints") and " " not in instead:
            assert TRANSFORMS.get(f"nlse_mm.{instead}").knows_keypoints


RATIO = dict(scale=(240, 180), ratio_range=(1.0, 1.1))
NESTED = [
    (dict(type="RandomChoice", transforms=[[COLOUR], [FLIP]]), "RandomChoice"),
    (dict(type="RandomApply", transforms=[FLIP], prob=0.5), "RandomApply"),
    (dict(type="RandomOrder", transforms=[COLOUR, FLIP]), "RandomOrder"),
    (dict(type="KeyMapper", transforms=[FLIP]), "KeyMapper"),
    (
        dict(type="TransformBroadcaster", transforms=[FLIP], mapping=dict(img=["img"])),
        "TransformBroadcaster",
    ),
    (dict(type="ProposalBroadcaster", transforms=[FLIP]), "ProposalBroadcaster"),
    (dict(type="TestTimeAug", transforms=[[OUR_FLIP, FLIP], [PACK]]), "TestTimeAug"),
    (dict(type="MultiBranch", branch_field=["a"], a=[FLIP, PACK]), "MultiBranch"),
    (dict(type="AutoAugment"), "AutoAugment"),
    (dict(type="RandAugment"), "RandAugment"),
    (
        dict(
            type="RandomApply",
            transforms=dict(type="RandomChoice", transforms=[[FLIP]]),
        ),
        "RandomApply > RandomChoice",
    ),
    (dict(type="RandomChoiceResize", scales=[(9, 9)]), "RandomChoiceResize"),
    (dict(type="RandomResize", **RATIO), "RandomResize"),
    (dict(type="ResizeShortestEdge", scale=180), "ResizeShortestEdge"),
]


@pytest.mark.parametrize(("step", "path"), NESTED, ids=[path for _, path in NESTED])
def test_it_is_found_inside_of_other_transforms(build, step, path):
    with pytest.raises(ValueError, match=f"in {path}, which doesn't keep") as refused:
        build(IMAGE, LOAD, step, PACK)
    assert ("resize_type" in str(refused.value)) == ("Resize" in path or "Edge" in path)


def test_what_moves_nothing_is_accepted_and_right(build):
    padded = dict(type="Pad", size_divisor=32)
    for step in (
        COLOUR,
        padded,
        dict(type="Pad", pad_to_square=True),
        dict(type="CutOut", n_holes=2, cutout_shape=(5, 5)),
        dict(type="YOLOXHSVRandomAug"),
        dict(type="RandomChoice", transforms=[[COLOUR], [padded, OUR_FLIP]]),
        dict(type="KeyMapper", transforms=[RESIZE], mapping=dict(img="template")),
        dict(type="KeyMapper", transforms=[RESIZE], mapping=dict(img=...)),
        dict(
            type="RandomChoiceResize",
            scales=[(240, 180)],
            resize_type="nlse_mm.ResizeKeypoints",
        ),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset = build(IMAGE, LOAD, step, PACK)
        if step["type"] != "KeyMapper":  # the sample has no such image
            assert share_in_box(instances(dataset)) == 1


def test_pipelines_for_testing_stay_as_they_were(build):
    flips = [OUR_FLIP, FLIP]
    aug = dict(type="TestTimeAug", transforms=[[RESIZE, RESIZE], flips, [LOAD], [PACK]])
    for pipeline in (
        (IMAGE, RESIZE, LOAD, PACK),
        (IMAGE, RESIZE, PACK),
        (IMAGE, RESIZE, STOCK_LOAD, PACK),
        (IMAGE, LOAD, RESIZE, STOCK_PACK),
        (IMAGE, aug),
    ):
        assert len(build(*pipeline, test_mode=True)) == 1
    with pytest.raises(ValueError, match="ResizeKeypoints"):
        build(IMAGE, LOAD, RESIZE, PACK, test_mode=True)


def test_samples_whose_image_was_moved_before_the_loading_are_marked(build):
    same = dict(type="Resize", scale=(120, 90))
    for steps, marked in (
        ((OUR_RESIZE, LOAD), True),
        ((RESIZE, OUR_FLIP, LOAD), True),
        ((same, LOAD), False),
        ((LOAD, OUR_RESIZE), False),
    ):
        sample = build(IMAGE, *steps, PACK)[0]["data_samples"]
        assert bool(sample.get("gt_of_original_image")) == marked


def test_people_without_their_keypoints_are_a_data_set_of_boxes(build):
    found = instances(build(IMAGE, STOCK_LOAD, RESIZE, FLIP, STOCK_PACK))
    assert found.bboxes.tensor.tolist() == [[20, 100, 100, 160]]
    assert "keypoints" not in found


@pytest.mark.parametrize(
    ("pipeline", "sentence"),
    [
        (
            (IMAGE, STOCK_LOAD, OUR_FLIP, PACK),
            "LoadAnnotations loads none: use nlse_mm.LoadKeyp",
        ),
        ((IMAGE, LOAD, STOCK_PACK), "PackDetInputs drops them: use nlse_mm.PackKeyp"),
    ],
)
def test_a_stock_loader_or_packer_is_refused_in_training(build, pipeline, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(*pipeline)


@pytest.mark.parametrize("name", ["keypoint_rcnn_r50", "tiny/keypoint_rcnn_r18_nl"])
def test_our_configs_are_accepted(name):
    cfg = Config.fromfile(f"configs/{name}.py")
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        pipeline = Compose(loader.dataset.pipeline)
        test_mode = loader.dataset.get("test_mode", False)
        assert check_pipeline(pipeline, test_mode) is pipeline


def test_every_transform_of_the_toolbox_is_known():
    from mmdet.registry import TRANSFORMS as OF_MMDET

    registries = (OF_MMDET, OF_MMDET.parent)
    classes = {cls for registry in registries for cls in registry.module_dict.values()}
    packages = ("mmcv.", "mmdet.")
    of_them = [cls for cls in classes if cls.__module__.startswith(packages)]
    # OneDL's for lines have no boxes; in ours they are told at the first sample.
    of_them = [cls for cls in of_them if not cls.__module__.endswith(".generate_line")]
    assert len(of_them) > 70
    assert [c for c in of_them if known_base(object.__new__(c)) is None] == []


class OwnResize(stock.Resize):
    """A user's own, which moves the boxes only."""


class OwnResizeOfKeypoints(stock.Resize):
    """A user's own, which moves keypoints itself."""

    def transform(self, results):
        results = super().transform(results)
        if "gt_keypoints" in results:
            factors = np.float32([*results["scale_factor"], 1])
            results["gt_keypoints"] = results["gt_keypoints"] * factors
        return results


class OwnResizeThatSaysSo(OwnResize):
    knows_keypoints = True


class OwnMirror(BaseTransform):
    """A user's own, which moves image and boxes and tells nobody."""

    def transform(self, results):
        results["img"] = np.ascontiguousarray(results["img"][:, ::-1])
        results["gt_bboxes"].flip_(results["img_shape"])
        return results


class OwnBorder(BaseTransform):
    """A user's own: pixels above and on the left."""

    def transform(self, results):
        results["img"] = np.pad(results["img"], ((9, 0), (9, 0), (0, 0)))
        results["img_shape"] = results["img"].shape[:2]
        return results


class OwnFilter(BaseTransform):
    """A user's own: drops all boxes."""

    def transform(self, results):
        for key in ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags"):
            results[key] = results[key][np.zeros(1, bool)]
        return results


class OwnColour(BaseTransform):
    """A user's own, which moves nothing."""

    def transform(self, results):
        results["img"] = 255 - results["img"]
        return results


class OwnBoxes(BaseTransform):
    """A user's own: wider boxes on the same image."""

    def transform(self, results):
        results["gt_bboxes"].tensor += results["gt_bboxes"].tensor.new_tensor(
            [-4, -4, 4, 4]
        )
        return results


def own_mirror(results):
    return OwnMirror().transform(results)


class OwnLoader(BaseTransform):
    """A user's own: what LoadKeypoints does, without it."""

    def transform(self, results):
        results = TRANSFORMS.build(STOCK_LOAD)(results)
        keypoints = [i["keypoints"] for i in results["instances"]]
        results["gt_keypoints"] = np.stack(keypoints)
        return results


def test_a_users_own_loader_is_accepted(build):
    loaders = STOCK_LOAD, dict(type=OwnLoader)
    assert share_in_box(instances(build(IMAGE, *loaders, OUR_FLIP, PACK))) == 1


def test_a_users_own_heir_of_a_stock_transform(build):
    own = dict(type=OwnResize, scale=(240, 180))
    with pytest.raises(ValueError, match=r"OwnResize, .*ResizeKeypoints; .*set knows"):
        build(IMAGE, LOAD, own, PACK)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right = build(IMAGE, LOAD, own | dict(type=OwnResizeOfKeypoints), PACK)
        build(IMAGE, LOAD, own | dict(type=OwnResizeThatSaysSo), PACK)
    assert share_in_box(instances(right)) == 1


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        (dict(type=OwnMirror), "OwnMirror moves image and boxes and leaves the keyp"),
        (own_mirror, "moves image and boxes and leaves the keypoints"),
        (dict(type=OwnBorder), "OwnBorder changes the size of the image and leaves"),
        (dict(type=OwnFilter), "OwnFilter changes the number of boxes and leaves"),
        (
            dict(type="RandomApply", transforms=[dict(type=OwnMirror)], prob=1.0),
            "RandomApply moves image and boxes",
        ),
    ],
)
def test_a_users_own_transform_is_watched(build, own, sentence):
    with pytest.warns(UserWarning, match="it isn't known whether [oO]wn"):
        dataset = build(IMAGE, LOAD, OUR_FLIP, own, PACK)
    with pytest.raises(ValueError, match=sentence):
        dataset[0]


def test_boxes_in_another_order_than_their_keypoints_are_noticed():
    def reverse(data):
        return data | dict(gt_bboxes=data["gt_bboxes"][::-1])

    keypoints = np.full((2, 17, 3), 2, np.float32)
    boxes = np.float32([[0, 0, 9, 9], [4, 4, 9, 9]])
    data = dict(img=np.zeros((9, 9, 3)), gt_bboxes=boxes, gt_keypoints=keypoints)
    with pytest.raises(ValueError, match="changes the order of the boxes"):
        PipelineWithChecks([reverse], [0])(data)
    same = data | dict(gt_bboxes=boxes[[0, 0]])
    PipelineWithChecks([reverse], [0])(same)


def test_a_mirrored_image_is_noticed_where_one_channel_of_it_differs():
    def mirror(data):
        boxes = data["gt_bboxes"].copy()
        boxes[:, ::2] = 20 - boxes[:, 2::-2]
        return data | dict(img=data["img"][:, ::-1], gt_bboxes=boxes)

    image = np.zeros((10, 20, 3), np.uint8)
    image[..., 0] = np.arange(20)
    data = dict(
        img=image,
        gt_bboxes=np.float32([[2, 2, 8, 8]]),
        gt_keypoints=np.full((1, 17, 3), 2, np.float32),
    )
    with pytest.raises(ValueError, match="moves image and boxes"):
        PipelineWithChecks([mirror], [0])(data)


def test_a_random_affine_of_masks_is_refused_in_a_sentence():
    affine = TRANSFORMS.build(dict(type="nlse_mm.AffineKeypoints"))
    with pytest.raises(ValueError, match=r"moves no masks: .*with_mask=False"):
        affine(dict(img=np.zeros((9, 9, 3), np.uint8), gt_masks=[]))


def test_a_users_own_transform_that_moves_nothing_passes(build):
    own = [dict(type=cls) for cls in (OwnColour, OwnBoxes)]
    with pytest.warns(UserWarning, match="whether OwnColour, OwnBoxes in the pipeline"):
        dataset = build(IMAGE, LOAD, *own, OUR_FLIP, PACK)
    found = instances(dataset)
    assert found.bboxes.tensor.tolist() == [[6, 46, 54, 84]]
    assert share_in_box(found) == 1


def test_a_pipeline_that_is_switched_later_is_checked(build):
    dataset = build(IMAGE, LOAD, OUR_FLIP, PACK)
    with pytest.raises(ValueError, match="FlipKeypoints"):  # as PipelineSwitchHook does
        dataset.pipeline = Compose([IMAGE, LOAD, FLIP, PACK])


@pytest.mark.parametrize(
    ("outside", "sentence"),
    [
        (
            dict(type="Mosaic", img_scale=(120, 90)),
            "boxes and keypoints of 1 instances",
        ),
        (FLIP, "a transform before PackKeypoints has moved the image and not"),
        (RESIZE, "use nlse_mm's own, such as nlse_mm.ResizeKeypoints for Resize"),
        (dict(type="RandomCrop", crop_size=(80, 70)), "before PackKeypoints has moved"),
    ],
)
def test_pipelines_outside_the_data_set_end_in_a_sentence(build, outside, sentence):
    dataset = build(IMAGE, LOAD)
    mixed = MultiImageMixDataset(dataset, pipeline=[outside, PACK])
    np.random.seed(0)
    with pytest.raises(ValueError, match=sentence):
        instances(mixed)


def test_a_stock_transform_between_ours_is_found_by_the_next_of_ours(build):
    dataset = MultiImageMixDataset(build(IMAGE, LOAD), pipeline=[FLIP, OUR_FLIP, PACK])
    with pytest.raises(ValueError, match="a transform before FlipKeypoints has moved"):
        instances(dataset)
    right = MultiImageMixDataset(build(IMAGE, LOAD), pipeline=[OUR_RESIZE, PACK])
    assert share_in_box(instances(right)) == 1


def test_another_data_set_under_our_loader_is_refused(build):
    dataset = build(
        IMAGE, LOAD, PACK, type="CocoDataset", metainfo=dict(classes=("person",))
    )
    with pytest.raises(ValueError, match=r"type='nlse_mm\.CocoKeypointDataset'"):
        dataset[0]


class ImageOnlyTransform:
    """As albumentations' base of the transforms that move nothing."""


class Brighter(ImageOnlyTransform):
    pass


class Transposed:
    pass


class Several:
    def __init__(self, *transforms):
        self.transforms = transforms


@pytest.mark.parametrize("moves", [False, True])
def test_albumentations_is_accepted_for_what_moves_nothing(build, moves):
    albu = object.__new__(stock.Albu)
    inner = Transposed() if moves else Brighter()
    albu.aug = Several(Brighter(), Several(inner, Brighter()))
    if moves:
        with pytest.raises(ValueError, match=r"has Albu, .*: leave its Transposed out"):
            build(IMAGE, LOAD, albu, PACK)
    else:
        build(IMAGE, LOAD, albu, PACK)
