"""Why a model can't be counted: what its forward pass wanted, and where."""

import re
import traceback
from pathlib import Path

from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)

_WANT_NUMBERS = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)
_NO_NUMBERS = re.compile("data is not allocated|data-dependent|meta tensor|FakeTensor")


def why_uncountable(error: Exception) -> str:
    """The reason in one line: what was wanted, the error, and the line that raised it.

    A model is given an image without numbers, and nothing else.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    text = " ".join(str(error).split()).split(" If you're using torch.compile")[0]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, _WANT_NUMBERS) or _NO_NUMBERS.search(text):
        wanted = "it needs the numbers in a tensor, and here tensors have only shapes"
    elif ("NoneType" in text or isinstance(error, AssertionError)) and any(
        "data_samples" in name and value is None
        for frame, _ in frames[-3:]
        for name, value in frame.f_locals.items()
    ):
        wanted = "it needs data samples (sizes of images, texts, boxes) with the image"
    else:
        wanted = "its forward pass fails"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{wanted} ({said}, in {last.name} of {Path(last.filename).name}: {last.line})"
    )
