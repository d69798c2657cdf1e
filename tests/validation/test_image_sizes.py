"""Images of another size than their annotation file says are named."""

import json

import pytest
from PIL import Image

from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import installed
from nlse_mm.validation.image_sizes import check_image_sizes, spread

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def check(coco, build):
    """What is warned of, for the file's sizes and another image ``1.jpg``."""

    def run(image=None, said=(HEIGHT, WIDTH), box=(4, 4, 10, 10), **loader):
        path = coco("a", "cat")
        content = json.loads(path.read_text())
        content["images"][1].update(height=said[0], width=said[1])
        content["annotations"][1].update(bbox=list(box))
        path.write_text(json.dumps(content))
        if image:
            image(path.with_name("1.jpg"))
        load = dict(type="LoadImageFromFile", **loader)
        dataset = build(path, "cat", pipeline=[load])
        warned = []
        check_image_sizes(dataset, "train_dataloader.dataset", warned.append)
        return warned

    return run


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(path, exif=exif)


def upside_down(path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (WIDTH, HEIGHT)).save(path, exif=exif)


@pytest.mark.skipif(not installed("mmdet"), reason="needs mmdet")
class TestSizes:
    def test_right_sizes_are_taken(self, check):
        assert check() == []
        assert check(upside_down) == []

    @pytest.mark.parametrize("backend", ["cv2", "pillow"])
    def test_an_image_that_exif_turns_is_named(self, check, backend):
        sentence = (
            rf"^train_dataloader\.dataset: the image .*1\.jpg is {WIDTH} x {HEIGHT} "
            rf"\(H x W\), but .*a\.json says {HEIGHT} x {WIDTH}; its EXIF orientation"
        )
        with pytest.raises(ConfigError, match=sentence):
            check(turned, imdecode_backend=backend)

    @pytest.mark.parametrize("how", ["unchanged", "color_ignore_orientation"])
    def test_an_image_whose_exif_nothing_heeds_is_taken(self, check, how):
        assert check(turned, color_type=how) == []

    def test_a_file_that_knows_of_exif_is_taken(self, check):
        assert check(turned, said=(WIDTH, HEIGHT)) == []

    def test_height_and_width_exchanged_are_named(self, check):
        with pytest.raises(ConfigError, match=rf"says {WIDTH} x {HEIGHT}: boxes"):
            check(said=(WIDTH, HEIGHT))

    def test_a_smaller_copy_of_the_image_is_named_if_a_box_leaves_it(self, check):
        def half(path):
            Image.new("RGB", (WIDTH // 2, HEIGHT // 2)).save(path)

        with pytest.raises(ConfigError, match=r"is 12 x 16 .* says 24 x 32"):
            check(half, box=(10, 10, 12, 12))
        (said,) = check(half, box=(2, 2, 8, 8))
        assert "is 12 x 16" in said

    def test_an_image_that_is_gone_is_named(self, check):
        def gone(path):
            path.unlink(missing_ok=True)

        sentence = (
            r"^train_dataloader\.dataset: the image .*1\.jpg of .*a\.json does not"
        )
        with pytest.raises(ConfigError, match=sentence):
            check(gone)
        assert check(gone, ignore_empty=True) == []
        assert check(gone, backend_args=dict(backend="local")) == []

    def test_many_images_of_another_size_are_one_warning(self, check):
        def other(path):
            for name in ("0.jpg", "1.jpg"):
                Image.new("RGB", (WIDTH + 8, HEIGHT)).save(path.with_name(name))

        (said,) = check(other)
        assert "0.jpg is 24 x 40" in said
        assert said.endswith("says 24 x 32, and so it is with 1 more of those compared")


@pytest.mark.parametrize(
    ("number", "most", "places"),
    [(0, 4, []), (1, 4, [0]), (3, 4, [0, 1, 2]), (10, 4, [0, 3, 6, 9])],
)
def test_a_sample_is_spread_over_the_data_set(number, most, places):
    assert list(spread(number, most)) == places
