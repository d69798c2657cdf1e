"""Non-local means, as the ancestor of the block: by its formula, and beside a peer."""

import math
import sys

import cv2
import matplotlib.image
import non_local_means
import numpy as np
import pytest
import torch

TOOL = "analysis/non_local_means.py"
STRENGTH, PATCH = 0.3, 5


@pytest.fixture
def image():
    """A small image of single precision, H != W."""
    return torch.rand(9, 12, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def file(tmp_path):
    """An image file of 24 x 32 pixels: stripes, where patches repeat."""
    levels = 40 + 160 * (np.arange(32) // 4 % 2)
    path = tmp_path / "stripes.png"
    cv2.imwrite(str(path), np.broadcast_to(levels[None, :, None], (24, 32, 3)))
    return path


def formula(image, exp=np.exp):
    """Denoise by the definition, in double precision, with all N x N weights.

    The distance is a mean over channels, weighted over the patch by a Gaussian whose
    standard deviation is a quarter of the patch: that of scikit-image.
    """
    x = image.double().numpy()
    (height, width, channels), reach = x.shape, PATCH // 2
    padded = np.pad(x, [(reach, reach), (reach, reach), (0, 0)], mode="reflect")
    patches = np.stack(
        [
            padded[row : row + PATCH, column : column + PATCH]
            for row in range(height)
            for column in range(width)
        ]
    )
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.exp(-(down**2 + across**2) / (2 * ((PATCH - 1) / 4) ** 2))
    kernel = kernel[..., None] / (kernel.sum() * channels)
    distances = np.array(
        [((patches - p) ** 2 * kernel).sum((1, 2, 3)) for p in patches]
    )
    assert distances.max() / STRENGTH**2 < 5  # beyond, scikit-image leaves some out
    weights = exp(-distances / STRENGTH**2)
    weights /= weights.sum(1, keepdims=True)
    return (weights @ x.reshape(-1, channels)).reshape(x.shape)


def approximate_exp(y):
    """Approximate exp as scikit-image does (doi.org/10.1162/089976699300016467).

    A double's exponent is the power of two, its upper fraction linear between powers.
    """
    upper = np.trunc(y * 2**20 / math.log(2) + (1023 * 2**20 - 60801))
    return (upper.astype(np.int64) << 32).view(np.float64)


def denoised(image):
    return non_local_means.denoise(image, STRENGTH, PATCH).numpy()


def test_attention_on_patches_is_non_local_means(image, monkeypatch):
    np.testing.assert_allclose(denoised(image), formula(image), atol=1e-5)
    monkeypatch.setattr(non_local_means, "QUERY_CHUNK", 5)  # 108 are no multiple
    np.testing.assert_allclose(denoised(image), formula(image), atol=1e-5)


def test_scikit_image_has_these_weights_but_for_its_exponential(image):
    """It takes an approximation that is up to 4% off, which moves a mean by 0.002."""
    pytest.importorskip(
        "skimage.restoration",
        reason="scikit-image isn't installed, so there is no peer to compare with",
    )
    theirs = non_local_means.find_peer()(image, STRENGTH, PATCH).numpy()
    expected = formula(image, approximate_exp)
    np.testing.assert_allclose(theirs, expected, atol=1e-5)
    np.testing.assert_allclose(denoised(image), theirs, atol=0.005)


def test_noise_is_taken_off_and_drawn(file, launch, capsys):
    launch(TOOL, file, "--sigma", 0.1, "--strength", 0.1, "--out", "new/denoised.png")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "24 x 32: 768 positions, their map has 0.0022 GiB"
    noisy, clean = (float(line.split()[1]) for line in said[2:4])
    assert noisy == pytest.approx(20, abs=0.5)  # -20 log10(0.1)
    assert clean > noisy + 8
    assert said[4:] == ["original", "new/denoised.png"]
    assert matplotlib.image.imread("new/denoised.png").std() > 0.05


def test_without_noise_a_larger_image_is_shrunk_and_denoised(file, launch, capsys):
    launch(TOOL, file, "--long-side", 16)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("12 x 16: 192 positions")
    assert said[2:] == ["image", "denoised", "non_local_means.png"]


def test_a_wrong_image_or_patch_is_refused(file, sentence_of, tmp_path, monkeypatch):
    text = tmp_path / "text.png"
    text.write_text("no image")
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    for arguments, sentence in (
        ([tmp_path / "no.jpg"], "no.jpg does not exist"),
        ([text], "text.png can't be read"),
        ([file, "--patch-size", "6"], "--patch-size 6 is not odd"),
        ([file, "--patch-size", "49"], "49 is more than 47, what an image of 24 x 32"),
        ([file, "--out", "a.docx"], "--out a.docx does not end in one of"),
        ([file, "--peer"], "--peer needs scikit-image: pip install scikit-image"),
    ):
        assert sentence in sentence_of(TOOL, *arguments)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--strength", "0", "0 is not a number from 0.001 on"),
        ("--strength", "-1", "-1 is not a number from 0.001 on"),
        ("--strength", "nan", "nan is not a number from 0.001 on"),
        ("--strength", "inf", "inf is not a number from 0.001 on"),
        ("--strength", "low", "low is not a number from 0.001 on"),
        ("--sigma", "-0.1", "-0.1 is not a number from 0 on"),
        ("--patch-size", "1", "1 is not 3 or more"),
        ("--long-side", "0", "0 is not 1 or more"),
    ],
)
def test_a_wrong_number_is_refused(option, value, sentence, file, launch, capsys):
    with pytest.raises(SystemExit) as ended:
        launch(TOOL, file, f"{option}={value}")
    assert ended.value.code == 2
    assert f"{option}: {sentence}" in capsys.readouterr().err
