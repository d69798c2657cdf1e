#!/usr/bin/env python
"""Denoise an image by non-local means, of which the non-local block is a descendant.

    tools/analysis/non_local_means.py IMAGE --out denoised.png
    tools/analysis/non_local_means.py IMAGE --sigma 0.1 --long-side 320
    tools/analysis/non_local_means.py IMAGE --sigma 0.1 --long-side 64 --peer

A pixel becomes the mean over all pixels of the image, weighted by how alike the patches
around them are (Buades, Coll and Morel, DOI 10.1109/CVPR.2005.38). Grey levels are 0 to
1. With --sigma noise is added first, and the PSNR says what became of it. --peer runs
scikit-image beside it, with the same patches and all of the image to search, which
takes minutes at 160 pixels. Its exponential is an approximation, and it leaves out
most weights below exp(-5).
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from arguments import (
    add_output,
    at_least,
    check_figure,
    make_parser,
    save_figure,
)
from images import read_image
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from torch import Tensor

from nlse_mm.analysis.peak_memory import peak_here
from nlse_mm.errors import ConfigError, MissingPackageError
from nlse_mm.ops import softmax_attention
from nlse_mm.training.user_error import in_one_sentence

QUERY_CHUNK = 1024  # between two steps of the progress bar

Denoise = Callable[[Tensor, float, int], Tensor]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("image", type=Path)
    # A weaker one has weights that single precision can't tell apart.
    words = "h: patches that differ by so much have weight 1/e (%(default)s)"
    add("--strength", type=at_least_level(0.001), default=0.08, help=words)
    words = "pixels of a patch each way, odd (%(default)s)"
    add("--patch-size", type=at_least(3), default=5, help=words)
    words = "standard deviation of noise to add (%(default)s)"
    add("--sigma", type=at_least_level(0), default=0.0, help=words)
    words = "pixels to which a larger image is shrunk (%(default)s)"
    add("--long-side", type=at_least(1), default=240, help=words)
    words = "run scikit-image's denoise_nl_means beside it"
    add("--peer", action="store_true", help=words)
    add_output(parser, default=Path("non_local_means.png"))
    return parser.parse_args()


def at_least_level(least: float) -> Callable[[str], float]:
    """Return an argument's type: a finite number of ``least`` or more."""

    def level(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {least} on")
        return number

    return level


@in_one_sentence
def main() -> None:
    args = parse_args()
    check_figure(args.output)
    peer = find_peer() if args.peer else None
    original = shrink(read_image(args.image), args.long_side)
    check_patch(args.patch_size, original)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(original.shape, generator=generator)
    image = original + args.sigma * noise
    given = image, args.strength, args.patch_size
    height, width = image.shape[:2]
    positions = height * width
    gib = 4 * positions**2 / 2**30
    print(f"{height} x {width}: {positions:,} positions, their map has {gib:.3g} GiB")
    panels = {"noisy" if args.sigma else "image": image}
    panels["denoised"], seconds, mib = measure(denoise, *given)
    print(f"denoised in {seconds:.1f} s with {mib:.0f} MiB")
    if peer:
        panels["scikit-image"], seconds, _ = measure(peer, *given)
        apart = (panels["scikit-image"] - panels["denoised"]).abs().max()
        print(f"scikit-image in {seconds:.1f} s; largest difference {apart:.2g}")
    if args.sigma:
        panels = {f"{n}, {psnr(x, original):.1f} dB": x for n, x in panels.items()}
        panels["original"] = original
    print(*panels, sep="\n")
    save_figure(draw(panels), args.output)
    print(args.output)


def shrink(image: np.ndarray, long_side: int) -> Tensor:
    """Return an image (H, W, 3) in 0 to 1, its longer side at most ``long_side``."""
    height, width = image.shape[:2]
    ratio = min(1, long_side / max(height, width))
    size = [max(1, round(ratio * side)) for side in (width, height)]
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return torch.from_numpy(image).float() / 255


def check_patch(size: int, image: Tensor) -> None:
    """Refuse a patch without a pixel in the middle, or too large to be reflected."""
    if size % 2 == 0:
        raise ConfigError(f"--patch-size {size} is not odd")
    height, width = image.shape[:2]
    if size // 2 >= min(height, width):
        most = 2 * min(height, width) - 1
        raise ConfigError(
            f"--patch-size {size} is more than {most}, what an image of {height} x "
            f"{width} takes"
        )


def denoise(image: Tensor, strength: float, patch_size: int) -> Tensor:
    r"""Average all pixels for each pixel, weighted by how alike their patches are.

    .. math:: y_i = \sum_j \mathrm{softmax}_j(-|p_i - p_j|^2 / h^2)\, x_j

    The square of the query's norm is the same for all keys, so the softmax doesn't see
    it. What is left of the square is :math:`2 p_i^\top p_j - |p_j|^2`, the product of
    :math:`(p_i, 1)` and :math:`(p_j, -|p_j|^2 / 2)`, scaled by :math:`2 / h^2`.

    Takes and returns (H, W, C).
    """
    p = patches(image, patch_size)  # (P, D)
    query = torch.cat([p, p.new_ones(len(p), 1)], dim=1)  # (P, D + 1)
    key = torch.cat([p, -p.square().sum(1, keepdim=True) / 2], dim=1)  # (P, D + 1)
    value = image.flatten(0, 1)  # (P, C)
    chunks = query.split(QUERY_CHUNK)
    means = [
        softmax_attention(chunk[None], key[None], value[None], 2 / strength**2)[0]
        for chunk in track(chunks, "Denoising", console=Console(stderr=True))
    ]
    return torch.cat(means).view_as(image)


def patches(image: Tensor, size: int) -> Tensor:
    """Cut the patch around each pixel out of (H, W, C), reflected at the border.

    Returns (H W, C size^2). The square distance of two rows is the mean over channels
    and pixels of the patches' square differences, weighted by a Gaussian around the
    middle, of the width that scikit-image gives it.
    """
    x = (image - image.mean()).permute(2, 0, 1)[None]  # (1, C, H, W)
    x = F.pad(x, [size // 2] * 4, mode="reflect")
    columns = F.unfold(x, size)[0].unflatten(0, (-1, size**2))  # (C, size^2, H W)
    offsets = torch.arange(size) - size // 2
    gaussian = torch.exp(-(offsets**2) / (2 * ((size - 1) / 4) ** 2))  # (size)
    weights = torch.outer(gaussian, gaussian).flatten()  # (size^2)
    weights = weights / (weights.sum() * len(columns))
    return (columns * weights.sqrt()[:, None]).flatten(0, 1).T.contiguous()


def find_peer() -> Denoise:
    """Return scikit-image's non-local means, in the form that weights the patches.

    Raises:
        MissingPackageError: If scikit-image isn't installed.
    """
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError as error:
        raise MissingPackageError(
            "--peer needs scikit-image: pip install scikit-image"
        ) from error

    def peer(image: Tensor, strength: float, patch_size: int) -> Tensor:
        whole = max(image.shape)  # to search; fast_mode weights patches uniformly
        how = dict(patch_distance=whole, fast_mode=False, channel_axis=2)
        x = image.double().numpy()
        return torch.from_numpy(denoise_nl_means(x, patch_size, h=strength, **how))

    return peer


def measure(
    run: Denoise, image: Tensor, strength: float, patch_size: int
) -> tuple[Tensor, float, float]:
    """Return the denoised image, the seconds, and the MiB above the start."""
    out, one = [], torch.ones(1, 1, 1)

    def warm_up() -> None:
        softmax_attention(one, one, one, 1.0)

    def step() -> None:
        start = time.perf_counter()
        out.append((run(image, strength, patch_size), time.perf_counter() - start))

    before, most = peak_here(lambda device: (warm_up, step), "cpu")
    return *out[0], most - before


def psnr(image: Tensor, original: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, of levels from 0 to 1."""
    return -10 * math.log10((image - original).square().mean().item())


def draw(panels: dict[str, Tensor]) -> Figure:
    """Draw images (H, W, 3) side by side."""
    height, width = next(iter(panels.values())).shape[:2]
    size = (3 * len(panels), 3 * height / width + 0.3)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, image) in zip(axes, panels.items(), strict=True):
        axis.imshow(image.clamp(0, 1).numpy(), interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return figure


if __name__ == "__main__":
    main()
