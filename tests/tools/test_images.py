"""Which files of a folder a tool takes."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
from images import find_images
from mmengine.config import Config
from model_on_images import check_kind


def names(folder):
    return [i.path.name for i in find_images(Namespace(data=folder, number=None))]


def test_a_video_among_images_is_left_out(tmp_path):
    (tmp_path / "cat").mkdir()
    for name in ("cat/a.png", "stray.mp4"):
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a.png"]
    (tmp_path / "b.png").touch()
    assert names(tmp_path) == ["b.png"]


@pytest.mark.parametrize(
    ("scope", "name", "wanted"),
    [("mmdet", "a.mp4", "images"), ("mmaction", "a.png", "videos")],
)
def test_what_a_model_does_not_take_is_refused(tmp_path, scope, name, wanted):
    (tmp_path / name).touch()
    images = find_images(Namespace(data=tmp_path, number=None))
    model = SimpleNamespace(cfg=Config(dict(default_scope=scope)))
    with pytest.raises(ValueError, match=f"{name} is none of the {wanted} that it"):
        check_kind(model, images)
