"""How each documented command is made small enough to be run in a test."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Beginnings of commands that are not run, and why.
LEFT_OUT = {
    ". .venv/bin/activate": "the test's own environment is active",
    "pip install ": "needs a network, and would change the test's own environment",
}


@dataclass(frozen=True)
class Rule:
    """What makes the commands of a script small.

    ``options`` are set, in place of the documented values; ``words`` replace words, by
    nothing where empty; ``most`` is how many configs a command keeps; ``more`` is added
    at the end. ``settings``: it takes ``--cfg-options``, and gets those of its config.

    ``without`` is removed from the folder beforehand; ``edits`` (file, old text, new
    text) make a script without options small; ``beside`` runs the command a second time
    at the same time, with one word replaced. Where ``package`` isn't installed, a
    sentence that says so is right.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    most: int | None = None
    more: str = ""
    settings: bool = False
    without: str = ""
    edits: Sequence[tuple[str, str, str]] = ()
    beside: tuple[str, str] | None = None
    package: str = ""


# Without a GPU two processes are as good as eight, and --amp is refused.
_ON_A_CPU = {"8": "2", "--amp": ""}
_NO_INSTALLATION = ("tools/install.sh", "set -euo pipefail\n", "exit 0\n")
_R50_NL = "configs/mask_rcnn_r50_nl.py"
_CHECKPOINT = "work_dirs/checkpoint.pth"
_LOOK = Rule(words=dict(CONFIG=_R50_NL, CHECKPOINT=_CHECKPOINT), settings=True)
_PICTURE = "data/coco/val2017/000000000009.jpg"
# The documents' pictures are not among the few that the test draws.
_PICTURES = {
    "PICTURE": _PICTURE,
    "data/far_cue/val2017/000000001003.jpg": "data/far_cue/val2017/000000000009.jpg",
    "data/tiny_coco/val2017/000000002501.jpg": _PICTURE,
}
_EPOCH = "max_epochs=1, val_interval=1"
_FEW = {"--train": "8", "--val": "4"}
_FEW_FAR_CUES = [
    ("tools/far_cue.sh", "data/far_cue\n", "data/far_cue --train 8 --val 4\n"),
    ("tools/far_cue.sh", "--cue large", "--cue large --train 8 --val 4"),
]
_SHORT = "--cfg-options train_cfg.max_epochs=1 train_cfg.val_interval=1"

# The first key that is in the command is its rule.
RULES = {
    "tools/quickstart.sh": Rule(
        without="data/tiny_coco",
        edits=[
            _NO_INSTALLATION,
            ("tools/quickstart.sh", '"$data" ||', '"$data" --train 8 --val 4 ||'),
            ("tools/quickstart.sh", "least=0.50", "least=0"),
            ("configs/_base_/tiny_coco.py", "max_epochs=3, val_interval=3", _EPOCH),
        ],
    ),
    "tools/run_tests.sh": Rule(
        more="tests/test_structure.py -k imports_go_one_way", edits=[_NO_INSTALLATION]
    ),
    "NNODES=2": Rule(
        words={"8": "1", "MASTER_ADDR=10.0.0.1": "MASTER_ADDR=127.0.0.1"},
        beside=("NODE_RANK=0", "NODE_RANK=1"),
        settings=True,
    ),
    "tools/train.py": Rule(settings=True),
    "tools/test.py": Rule(words={"CHECKPOINT": _CHECKPOINT}, settings=True),
    "tools/dist_train.sh": Rule(words=_ON_A_CPU, settings=True),
    "tools/dist_test.sh": Rule(words=_ON_A_CPU, settings=True),
    "tools/slurm_train.sh": Rule(words={"GPUS=16": "GPUS=2"}, settings=True),
    "tools/data/make_tiny_coco.py": Rule(_FEW, without="data/tiny_coco"),
    "tools/data/make_tiny_people.py": Rule(_FEW, without="data/tiny_people"),
    "panoptic_to_semantic.py data/coco --verify": Rule(),
    "panoptic_to_semantic.py": Rule(without="data/coco/semantic"),
    "tools/far_cue.sh short": Rule(
        more=_SHORT,
        edits=[*_FEW_FAR_CUES, ("tools/far_cue.sh", "_{nl,se,gc}.py", "_se.py")],
    ),
    "tools/far_cue.sh": Rule(
        more=_SHORT,
        edits=[
            *_FEW_FAR_CUES,
            ("tools/far_cue.sh", "seeds=(0 1 2 3 4)", "seeds=(0)"),
            ("tools/far_cue.sh", '"$disc"_*.py', '"$disc"_nl.py'),
            ("tools/far_cue.sh", '"$band"_*.py', '"$band"_se.py'),
        ],
    ),
    "tools/analysis/compare.py": Rule({"--seeds": "0"}, most=2, settings=True),
    "tools/analysis/browse_data.py": Rule(settings=True),
    "tools/analysis/check_configs.py": Rule(
        more="mmdet/hrnet/mask-rcnn_hrnetv2p-w18-1x"
    ),
    "tools/analysis/complexity.py": Rule(),
    "tools/analysis/show_attention.py": Rule(
        words={**_LOOK.words, **_PICTURES}, settings=True
    ),
    "tools/analysis/attention_statistics.py": _LOOK,
    "tools/analysis/show_excitation.py": Rule(
        words=dict(_LOOK.words, CONFIG="configs/tiny/mask_rcnn_r18_se.py"),
        settings=True,
    ),
    "tools/analysis/show_heads.py": Rule(),
    "tools/analysis/benchmark_attention_hook.py": Rule(
        {"--size": "64 96", "--rounds": "1"}
    ),
    "tools/analysis/benchmark_blocks.py": Rule(
        {"--sizes": "7x9:16", "--modes": "gaussian", "--rounds": "1"}
    ),
    "tools/analysis/benchmark_detector.py": Rule({"--size": "64 96", "--rounds": "1"}),
    "tools/analysis/benchmark_heads.py": Rule(
        {"--sizes": "64x128", "--heads": "fcn nl stock_nl", "--repeats": "1"}
    ),
    "tools/analysis/benchmark_keypoints.py": Rule({"--rois": "2", "--repeat": "1"}),
    "tools/analysis/benchmark_se.py": Rule(
        {"--size": "64 96", "--batch": "2", "--rounds": "1"}
    ),
    "tools/analysis/benchmark_self_attention.py": Rule(
        {"--sizes": "4x5", "--rounds": "1"}
    ),
    "tools/checkpoint/convert.py seresnet50.safetensors": Rule(package="safetensors"),
    "tools/checkpoint/convert.py": Rule(),
}

_ONE_EPOCH = ["train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
_TWO_STEPS = ["train_cfg.max_iters=2", "train_cfg.val_interval=2"]
# Of an R50 with COCO's classes: one step, of few regions.
_ONE_STEP = [
    "train_dataloader.dataset.indices=2",
    "val_dataloader.dataset.indices=1",
    "test_dataloader.dataset.indices=1",
    "val_dataloader.dataset.pipeline.1.scale=(160,128)",
    "test_dataloader.dataset.pipeline.1.scale=(160,128)",
    "model.train_cfg.rcnn.sampler.num=32",
    "model.test_cfg.rpn.max_per_img=100",
    *_ONE_EPOCH,
]
# What lets a config train on a few pictures of data/ in seconds on a CPU.
SETTINGS = {
    _R50_NL: ["train_dataloader.dataset.pipeline.2.scale=(160,128)", *_ONE_STEP],
    "configs/keypoint_rcnn_r50.py": [
        "train_dataloader.dataset.pipeline.2.scales=[(160,128)]",
        *_ONE_STEP,
    ],
    "configs/keypoint_rcnn_r50_nl4_nl.py": [],  # documented small
    "configs/fcn_r50_nl_coco-panoptic.py": [
        *_TWO_STEPS,
        "param_scheduler.0.end=2",
        "default_hooks.checkpoint.interval=2",
    ],
    "configs/tiny/fcn_": [
        *_TWO_STEPS,
        "default_hooks.checkpoint.interval=2",
    ],
    "configs/mask_rcnn_r50_se.py": _ONE_STEP,
    "configs/tiny/keypoint_rcnn_r18_nl.py": _ONE_EPOCH,
    "configs/tiny/mask_rcnn_r18_se": _ONE_EPOCH,
    "configs/tiny/far_cue_": _ONE_EPOCH,
}


def is_left_out(words: Sequence[str]) -> bool:
    return " ".join(words).startswith(tuple(LEFT_OUT))


def rule_of(words: Sequence[str]) -> str | None:
    """The key of the command's rule."""
    return next((key for key in RULES if key in " ".join(words)), None)


def settings_of(words: Sequence[str]) -> str | None:
    """The key of the settings of the command's config."""
    config = config_of(words)
    return next((key for key in SETTINGS if config.startswith(key)), None)


def config_of(words: Sequence[str]) -> str:
    """The first config that the command names, empty if none."""
    return next((word for word in words if word.startswith("configs/")), "")


def missing(words: Sequence[str], root: Path) -> str:
    """What is to be added above for the command, empty if nothing."""
    command = shlex.join(words)
    if rule_of(words) is None:
        return f"add a rule to RULES for the documented command {command}"
    words = with_words(words, RULES[rule_of(words)], root)
    if RULES[rule_of(words)].settings and settings_of(words) is None:
        return f"add {config_of(words)} to SETTINGS for the documented {command}"
    return ""


def reduced(words: Sequence[str], root: Path) -> list[str]:
    """The words of the command, made small; patterns of files are those in ``root``."""
    rule = RULES[rule_of(words)]
    small = with_words(words, rule, root)
    for option, value in rule.options.items():
        small = with_option(small, option, shlex.split(value))
    if rule.settings:
        small = with_settings(small, SETTINGS[settings_of(small)])
    return [*small, *shlex.split(rule.more)]


def with_words(words: Sequence[str], rule: Rule, root: Path) -> list[str]:
    """``words`` with the rule's in their place, files in place of patterns."""
    small = []
    for word in words:
        if "*" in word:
            small += [str(path.relative_to(root)) for path in sorted(root.glob(word))]
        elif word := rule.words.get(word, word):
            small.append(word)
    configs = [word for word in small if word.startswith("configs/")]
    dropped = configs[rule.most :] if rule.most else []
    return [word for word in small if word not in dropped]


def with_option(words: list[str], option: str, values: list[str]) -> list[str]:
    """``words`` with these values of an option, in place of its own."""
    if option in words:
        start = end = words.index(option)
        while end == start or (end < len(words) and not words[end].startswith("--")):
            end += 1
        words = [*words[:start], *words[end:]]
    return [*words, option, *values]


def with_settings(words: list[str], settings: list[str]) -> list[str]:
    """``words`` with these ``--cfg-options``, beside its own of other keys."""
    if "--cfg-options" not in words:
        return [*words, "--cfg-options", *settings] if settings else words
    keys = {setting.split("=")[0] for setting in settings}
    kept = [word for word in words if word.split("=")[0] not in keys]
    place = kept.index("--cfg-options") + 1
    return [*kept[:place], *settings, *kept[place:]]
