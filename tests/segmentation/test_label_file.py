"""Labels that reading would change are told before they are changed."""

import cv2
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mmseg")

from mmengine.registry import TRANSFORMS, DefaultScope

SIZE = (8, 12)


@pytest.fixture
def load(tmp_path):
    """Save labels by Pillow as a file of this name, and load them."""

    def run(image, name="a.png", save=None, datasets=False, **kwargs):
        path = tmp_path / name
        image.save(path, **(save or {}))
        with DefaultScope.overwrite_default_scope("mmseg"):
            loader = TRANSFORMS.build(
                dict(type="nlse_mm.LoadSegLabels", **(dict(num_classes=20) | kwargs))
            )
        results = dict(
            img_path="a.jpg",
            seg_map_path=str(path),
            ori_shape=SIZE,
            reduce_zero_label=datasets,
            label_map=None,
            seg_fields=[],
        )
        return loader(results)["gt_seg_map"]

    return run


def labels(*values, dtype=np.uint8):
    """The values in turn, over a whole image."""
    return np.resize(np.array(values, dtype=dtype), SIZE)


@pytest.mark.parametrize(
    ("name", "values", "dtype", "words"),
    [
        ("a.png", (0, 257), np.uint16, "have 257, but labels are read .* become 1$"),
        ("a.tif", (0, 257), np.uint16, "have 257, but labels are read .* become 1$"),
        ("a.png", (1000, 1001), np.uint16, "have 1001, .* become 233$"),
        ("a.tif", (0, 256 * 3), np.int32, "have 768, .* become 0$"),
        ("a.tif", (0, 0.5), np.float32, "have 0.5, .* become 0$"),
    ],
)
def test_labels_above_a_byte_are_told_before_they_wrap(
    load, name, values, dtype, words
):
    with pytest.raises(ValueError, match=words):
        load(Image.fromarray(labels(*values, dtype=dtype)), name)


@pytest.mark.parametrize(
    ("values", "dtype", "found"),
    [
        ((0, 7, 255), np.uint16, (0, 7, 255)),
        ((0, 7, 65535), np.uint16, (0, 7, 255)),  # all bits: no label
        ((0, 7, -1), np.int32, (0, 7, 255)),
        ((0, 7, 3), np.float32, (0, 7, 3)),
    ],
)
def test_deep_files_with_small_labels_are_read(load, values, dtype, found):
    got = load(Image.fromarray(labels(*values, dtype=dtype)), "a.tif")
    assert np.array_equal(got, labels(*found))


def test_a_palette_and_one_bit_are_read_as_they_are(load):
    palette = Image.fromarray(labels(0, 3, 5), "P")
    palette.putpalette([n * 7 % 256 for n in range(768)])
    assert np.array_equal(load(palette), labels(0, 3, 5))
    bits = Image.fromarray(labels(0, 255)).convert("1")
    assert np.array_equal(load(bits, num_classes=2), labels(0, 1))


def test_grey_of_four_bits_is_told_before_it_is_stretched(tmp_path, load):
    import struct
    import zlib

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    def save(path, pixels):
        rows = [bytes([0]) + bytes(r[::2] << 4 | r[1::2]) for r in pixels]
        header = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], 4, 0, 0, 0, 0)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"".join(rows)))
            + chunk(b"IEND", b"")
        )

    class Raw:
        def __init__(self, pixels):
            self.pixels = pixels

        def save(self, path):
            save(path, self.pixels)

    words = "a grey image of 4 bits, which is stretched .* label 3 becomes 51"
    with pytest.raises(ValueError, match=words):
        load(Raw(labels(0, 1, 3)), num_classes=150)
    assert np.array_equal(load(Raw(labels(0, 15))), labels(0, 255))


@pytest.mark.parametrize(
    ("mode", "backend", "words"),
    [
        ("RGB", "pillow", "are a colour image, not one label a pixel$"),
        ("RGBA", "pillow", "colour image.*; it has an alpha channel"),
        ("LA", "pillow", "; it has an alpha channel"),
        ("P", "cv2", "imdecode_backend='cv2' turns its palette into colours"),
    ],
)
def test_what_makes_a_colour_image_is_said(load, mode, backend, words):
    image = Image.fromarray(labels(0, 3)).convert("L").convert(mode)
    with pytest.raises(ValueError, match=words):
        load(image, imdecode_backend=backend)


def test_compressed_labels_out_of_range_are_told_of_the_compression(load):
    image = Image.fromarray(np.kron(np.eye(4, 6), np.full((2, 2), 19)).astype(np.uint8))
    with pytest.raises(ValueError, match=r"num_classes=10 .*; it is a JPEG, whose"):
        load(image, "a.jpg", dict(quality=30), num_classes=10)


def test_labels_from_one_on_are_told_of_reduce_zero_label(load):
    image = Image.fromarray(labels(1, 2, 3))
    words = "have 3, but num_classes=3 .* labels of 1 to 3 need reduce_zero_label=True"
    with pytest.raises(ValueError, match=words):
        load(image, num_classes=3)
    found = load(image, num_classes=3, datasets=True)
    assert np.array_equal(found, labels(0, 1, 2))


def test_a_file_cut_short_is_one_sentence(load, tmp_path):
    class Cut:
        def save(self, path):
            rng = np.random.default_rng(0)
            cv2.imwrite(str(path), rng.integers(0, 20, SIZE, np.uint8))
            path.write_bytes(path.read_bytes()[:80])

    with pytest.raises(ValueError, match=r"^the labels .*a\.png can't be read"):
        load(Cut())


def test_two_settings_of_reduce_zero_label_are_refused(load):
    words = "LoadSegLabels.reduce_zero_label=True, but the data set has .*=False"
    with pytest.raises(ValueError, match=words):
        load(Image.fromarray(labels(1, 2)), reduce_zero_label=True)


@pytest.fixture
def masks(tmp_path):
    """A loader, and what loads one mask of two values by it many times."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        loader = TRANSFORMS.build(dict(type="nlse_mm.LoadSegLabels", num_classes=2))

    def run(*values, times=1):
        path = tmp_path / "mask.png"
        Image.fromarray(labels(*values)).save(path)
        for _ in range(times):
            results = dict(
                img_path="a.jpg",
                seg_map_path=str(path),
                ori_shape=SIZE,
                reduce_zero_label=False,
                seg_fields=[],
            )
            loader(results)

    return run


def test_masks_of_0_and_255_alone_are_refused_in_the_end(masks):
    masks(0, 255, times=499)
    words = "500 label images, .*mask.png, have no pixel of any class but 0, and 255"
    with pytest.raises(ValueError, match=words):
        masks(0, 255)


def test_one_mask_with_both_classes_is_enough(masks):
    masks(0, 255, times=400)
    masks(0, 1, 255)
    masks(0, 255, times=200)


def test_masks_of_one_class_without_void_are_taken(masks):
    masks(0, times=600)
