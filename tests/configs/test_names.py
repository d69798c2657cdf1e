"""A config's name is what its content says: configs/README.md has the grammar."""

from pathlib import Path

import pytest

from nlse_mm.backbones.se_resnet import SE_POSITIONS
from nlse_mm.placement.entries import BlockEntry, parse_entries

CONFIGS = Path(__file__).parents[2] / "configs"
ALGORITHMS = {  # types of model and head
    ("MaskRCNN", "StandardRoIHead"): "mask_rcnn",
    ("FasterRCNN", "StandardRoIHead"): "faster_rcnn",
    ("FasterRCNN", "nlse_mm.KeypointRoIHead"): "keypoint_rcnn",
    ("PanopticFPN", "StandardRoIHead"): "panoptic_fpn",
    ("EncoderDecoder", "FCNHead"): "fcn",
    ("EncoderDecoder", "ASPPHead"): "deeplabv3",
    ("EncoderDecoder", "nlse_mm.NLHead"): "nlhead",
    ("Recognizer3D", "I3DHead"): "i3d",
}
USUAL = dict(keypoint_rcnn=25, i3d=100, c2d=100)  # epochs; else Detectron2's 1x
BACKBONES = dict(
    ResNet="r", ResNet3d="r", ResNeXt="x", Net="senet", SelfAttentionNet="sa"
)
BACKBONES |= dict(SwinTransformer="swin-t", HRNet="hrnetv2p-w18")
NON_LOCAL = ("nlse_mm.NonLocal2d", "nlse_mm.NonLocal3d")
HEADS = ("roi_head", "decode_head", "cls_head")  # of which a model has one
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
POSITIONS = {position: name for name, position in SE_POSITIONS.items()}
DATASETS = {
    "nlse_mm.CocoPanopticSemanticDataset": "coco-panoptic",
    "COCOStuffDataset": "coco-stuff",
    "CityscapesDataset": "cityscapes",
    "ADE20KDataset": "ade20k",
    "VideoDataset": "kinetics400",
}


def name_of(config):
    model = config.model
    (head,) = (model[key] for key in HEADS if key in model)
    algorithm = ALGORITHMS[model.type, head.type]
    if algorithm == "i3d" and model.backbone.inflate == 0:
        algorithm = "c2d"
    in_head = head.get("keypoint_head", {}).get("plugins", ())
    usual = USUAL.get(algorithm, 12)
    words = [
        algorithm,
        *backbone_words(model.backbone),
        *(f"nl{len(entry.after_convs)}" for entry in in_head),
        *plugin_words(model.backbone),
        model.backbone.get("inflate_style", ""),
        {usual: "", 24: "2x"}[config.train_cfg.get("max_epochs", usual)],
        DATASETS.get(config.train_dataloader.dataset.get("type")),
    ]
    return "_".join(filter(None, words))


def backbone_words(backbone):
    kind = backbone.get("base", backbone.type).removeprefix("nlse_mm.")
    letters = BACKBONES[kind.removeprefix("SE").removesuffix("V1c")]
    size = len(backbone.get("channels", ())) or backbone.get("depth", "")
    return [f"{letters}{size}", "se" if kind.startswith("SERes") else ""]


def plugin_words(backbone):
    if replaced := backbone.get("stage_with_dcn"):
        return ["sa", *(f"res{i}" for i, there in enumerate(replaced, 2) if there)]
    if not (entries := backbone.get("plugins")):
        return []
    (cfg,) = {str(entry.cfg): entry.cfg for entry in entries}.values()
    if "output" in entries[0]:
        return ["nl" if cfg.type in NON_LOCAL else "se"]
    parsed = parse_entries(entries, BlockEntry)
    places = [p for e in parsed for p in e.block_indices(BLOCKS[backbone.depth])]
    several = len(places) if len(places) > 1 else ""
    stages = sorted({f"res{2 + stage}" for stage, _ in places})
    if cfg.type in NON_LOCAL:
        return [
            f"nl{several}",
            cfg.get("mode", "").replace("_", "-"),
            stages[0] if not several and stages != ["res4"] else "",
            cfg.get("axis", ""),
            "" if cfg.get("sub_sample", cfg.get("axis") == "time") else "no-sub-sample",
            "pool-first" if cfg.get("pool_first") else "",
            "" if cfg.get("norm_cfg") else "no-bn",
        ]
    if cfg.type == "nlse_mm.SELayer":
        return [
            "se-plugin",
            POSITIONS[parsed[0].position].replace("standard", ""),
            f"r{cfg.reduction}" if "reduction" in cfg else "",
            {1: stages[0], 3: "res2-4", 4: ""}[len(stages)],
        ]
    return ["gc" if several else "gc1", "r4" if cfg.ratio == 1 / 4 else ""]


# Of classifiers the name is the network's: test_classification.py, test_sa6_cifar10.py.
CLASSIFIERS = {*CONFIGS.glob("*_imagenet.py"), *CONFIGS.glob("*_cifar10.py")}
NAMED = sorted({*CONFIGS.glob("*.py")} - CLASSIFIERS)


@pytest.mark.parametrize("path", NAMED, ids=lambda p: p.stem)
def test_a_name_is_that_of_its_content(path, read_config):
    assert name_of(read_config(path)) == path.stem


def test_another_content_is_another_name(read_config):
    config = read_config(CONFIGS / "mask_rcnn_r50_nl.py")
    backbone = config.model.backbone
    backbone.depth, config.train_cfg.max_epochs = 101, 24
    assert name_of(config) == "mask_rcnn_r101_nl_2x"
    backbone.type, backbone.plugins = "nlse_mm.SEResNet", None
    assert name_of(config) == "mask_rcnn_r101_se_2x"
