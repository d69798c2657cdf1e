"""The sections of the report of a GPU: a command each, and how long it may take."""

from dataclasses import dataclass

from nlse_mm.toolbox import DETECTION, SEGMENTATION, Toolbox

PYTEST = "-m pytest -q -p no:cacheprovider"


@dataclass(frozen=True)
class Section:
    """One command of the report.

    Args:
        title: Its heading.
        command: What Python runs, from the top folder.
        trial: Words added for a trial: tiny sizes.
        minutes: After which it is stopped.
        needs: The toolbox without which it is left out.
    """

    title: str
    command: str
    trial: str
    minutes: float
    needs: Toolbox | None = None


TOOL = "tools/analysis/benchmark_"
TINY = "--rounds 1 --threads 1"
DETECTOR = f"{TOOL}detector.py --rounds 7 --seconds 20 --steps inference training"
SECTIONS = {
    "tests": Section(
        "The contract and the attention tests",
        f"{PYTEST} -m gpu tests/ops tests/plugins tests/environment",
        "-k test_an_empty_batch_goes_through",
        5,
    ),
    "attention": Section(
        "The block, MMCV's, and PyTorch's kernels",
        f"{TOOL}attention.py --rounds 7 --seconds 3",
        f"{TINY} --sizes 3x4 --channels 8 --batches 1 --precisions fp32 bf16",
        5,
    ),
    "blocks": Section(
        "All modes beside MMCV's",
        f"{TOOL}blocks.py --sizes 50x84 --rounds 7 --seconds 3",
        f"{TINY} --sizes 3x4:16 --modes gaussian",
        2,
    ),
    "detector": Section(
        "Mask R-CNN, single precision",
        DETECTOR,
        f"{TINY} --size 64 96 --steps inference",
        2,
        DETECTION,
    ),
    "detector-amp": Section(
        "Mask R-CNN, mixed precision and channels last",
        f"{DETECTOR} --amp --channels-last",
        f"{TINY} --size 64 96 --steps inference --no-amp",  # float16: no nms on the CPU
        2,
        DETECTION,
    ),
    "heads": Section(
        "NLHead on a whole Cityscapes image",
        f"{TOOL}heads.py --sizes 1024x2048 --heads fcn nl stock_nl",
        f"{TINY} --sizes 64x128",
        2,
        SEGMENTATION,
    ),
    "se": Section(
        "SE-ResNet-50 beside ResNet-50",
        f"{TOOL}se.py --batch 64 --size 224 224 --seconds 20",
        f"{TINY} --batch 2 --size 32 32",  # norms want two values of each channel
        1.5,
        DETECTION,
    ),
}
