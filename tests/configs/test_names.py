"""A leaf's name says what is in it: configs/README.md has the grammar."""

from pathlib import Path

import pytest

from nlse_mm.backbones.se_resnet import SE_POSITIONS
from nlse_mm.placement.entries import BlockEntry, parse_entries

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(p.stem for p in CONFIGS.glob("*.py"))

ALGORITHMS = {  # part of the model: its type
    "mask_rcnn": {"": "MaskRCNN", "roi_head": "StandardRoIHead"},
    "faster_rcnn": {"": "FasterRCNN", "roi_head": "StandardRoIHead"},
    "keypoint_rcnn": {"": "FasterRCNN", "roi_head": "nlse_mm.KeypointRoIHead"},
    "panoptic_fpn": {"": "PanopticFPN"},
    "fcn": {"": "EncoderDecoder", "decode_head": "FCNHead"},
    "deeplabv3": {"": "EncoderDecoder", "decode_head": "ASPPHead"},
    "nlhead": {"": "EncoderDecoder", "decode_head": "nlse_mm.NLHead"},
}
TRUNKS = {  # the last part of the backbone's type, SE and the stem's variant left out
    "r": "ResNet",
    "x": "ResNeXt",
    "senet": "Net",
    "sa": "SelfAttentionNet",
}
OTHERS = {"swin-t": "SwinTransformer", "hrnetv2p-w18": "HRNet"}
ON_MAPS = {  # what a word means for trunks that aren't ResNets: type, outputs
    "nl": ("nlse_mm.NonLocal2d", [2]),
    "se": ("nlse_mm.SELayer", [0, 1, 2, 3]),
}
STAGES = ("res2", "res3", "res4", "res5")
BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
MODES = ("gaussian", "dot-product", "concatenation")
OF_A_STAGE = {
    ("nl5", 50): {1: (1, 3), 2: (1, 3, 5)},
    ("nl5", 101): {1: (1, 3), 2: (6, 13, 20)},
    ("nl10", 50): {1: range(4), 2: range(6)},
    ("nl10", 101): {1: range(4), 2: (3, 6, 10, 13, 17, 20)},
}
DATASETS = {
    "coco": {"CocoDataset", "CocoPanopticDataset", "nlse_mm.CocoKeypointDataset"},
    "coco-stuff": {"COCOStuffDataset"},
    "coco-panoptic": {"nlse_mm.CocoPanopticSemanticDataset"},
    "cityscapes": {"CityscapesDataset"},
    "ade20k": {"ADE20KDataset"},
}


def parse(name):
    """Algorithm, backbone, the words after it, schedule and data set of a name."""
    algorithm = next(a for a in ALGORITHMS if name.startswith(f"{a}_"))
    backbone, *words = name.removeprefix(f"{algorithm}_").split("_")
    dataset = words.pop() if words and words[-1] in DATASETS else "coco"
    schedule = words.pop() if words and words[-1].endswith("x") else "1x"
    return algorithm, backbone, words, schedule, dataset


def at(model, path):
    return model[path] if path else model


def found(backbone):
    """Type, arguments and places of the plugins that a ResNet's config has."""
    plugins = []
    for config in backbone.get("plugins") or ():
        (line,) = parse_entries([dict(config)], BlockEntry)
        cfg = dict(line.cfg)
        kind = cfg.pop("type")
        cfg["norm"] = bool(cfg.pop("norm_cfg", None))
        places = line.block_indices(BLOCKS[backbone.depth])
        plugins.append((kind, line.position, cfg, set(places)))
    return merged(plugins)


def merged(plugins):
    """Lines that differ only in their places as one."""
    lines = {}
    for kind, position, cfg, places in plugins:
        key = (kind, position, tuple(sorted(cfg.items())))
        lines.setdefault(key, set()).update(places)
    return lines


def take(words, allowed):
    return [words.pop(words.index(word)) for word in allowed if word in words]


def said(words, depth):
    """The same, from the words of a name; those understood are taken out."""
    plugins = []
    counts = BLOCKS[depth]
    for word in take(words, ("nl", "nl5", "nl10")):
        stages = take(words, STAGES) or ["res4"]
        stage = STAGES.index(stages[0])
        blocks = OF_A_STAGE.get((word, depth)) or {stage: [counts[stage] - 2]}
        cfg = {"norm": not take(words, ["no-bn"])}
        if not take(words, ["no-sub-sample"]):
            cfg["sub_sample"] = True
        if take(words, ["pool-first"]):
            cfg["pool_first"] = True
        for mode in take(words, MODES):
            cfg["mode"] = mode.replace("-", "_")
        places = {(s, b) for s, several in blocks.items() for b in several}
        plugins.append(("nlse_mm.NonLocal2d", "after_block", cfg, places))
    for _ in take(words, ["se-plugin"]):
        position = (*take(words, SE_POSITIONS), "standard")[0]
        cfg = {"norm": False, "zero_init": True}
        for size in take(words, [f"r{2**i}" for i in range(1, 6)]):
            cfg["reduction"] = int(size[1:])
        stages = [STAGES.index(s) for s in take(words, STAGES)] or range(4)
        if take(words, ["res2-4"]):
            stages = range(3)
        places = {(s, b) for s in stages for b in range(counts[s])}
        plugins.append(("nlse_mm.SELayer", SE_POSITIONS[position], cfg, places))
    for word in take(words, ("gc", "gc1")):
        cfg = {"norm": False, "ratio": 1 / 16}
        for size in take(words, ["r4"]):
            cfg["ratio"] = 1 / int(size[1:])
        places = {(s, b) for s in (1, 2, 3) for b in range(counts[s])}
        position = "after_conv3"
        if word == "gc1":
            position, places = "after_block", {(2, counts[2] - 2)}
        plugins.append(("ContextBlock", position, cfg, places))
    return merged(plugins)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_agrees_with_its_content(name, read_config):
    config = read_config(CONFIGS / f"{name}.py")
    model = config.model
    algorithm, backbone, words, schedule, dataset = parse(name)
    for path, kind in ALGORITHMS[algorithm].items():
        assert at(model, path).type == kind

    trunk = model.backbone
    type_ = trunk.type.removeprefix("nlse_mm.")
    if backbone in OTHERS:
        assert (type_, trunk.base) == ("WithPlugins", OTHERS[backbone])
        (line, *more) = trunk.plugins
        outputs = [line.output, *(other.output for other in more)]
        assert (line.cfg.type, outputs) == ON_MAPS[words.pop()]
    else:
        letters = backbone.rstrip("0123456789")
        number = int(backbone.removeprefix(letters))
        has_se = bool(take(words, ["se"])) or letters == "senet"
        assert type_.startswith("SE") == has_se
        kind = type_.removeprefix("SE") if has_se else type_
        assert kind.removesuffix("V1c") == TRUNKS[letters]
        if letters == "sa":
            assert len(trunk.channels) == number
        else:
            assert trunk.depth == number
            assert found(trunk) == said(words, {154: 152}.get(number, number))

    head = model.get("roi_head", {}).get("keypoint_head", {})
    lines = [line.after_convs for line in head.get("plugins", ())]
    assert lines == ([(1, 3, 5, 7)] if take(words, ["nl4"]) else [])
    replaced = take(words, ["sa"]) and [stage in words for stage in STAGES]
    assert list(trunk.get("stage_with_dcn", ())) == replaced
    assert not words or replaced, f"{words} mean nothing"

    assert config.train_dataloader.dataset.get("type") in DATASETS[dataset]
    if dataset == "coco":
        # Detectron2's 1x, in epochs of the photos that have people.
        epochs = 25 if algorithm == "keypoint_rcnn" else 12 * int(schedule[:-1])
        assert config.train_cfg.max_epochs == epochs


def test_an_unknown_word_is_noticed():
    words = ["nl", "res3", "misspelt"]
    said(words, 50)
    assert words == ["misspelt"]
