"""In the far-cue clips nothing but the two squares' colours tells the class."""

from collections import Counter
from pathlib import Path

import cv2
import make_far_cue_video
import numpy as np
import pytest

from nlse_mm.errors import ConfigError

CONFIG = Path(__file__).parents[2] / "configs" / "_base_" / "far_cue_video.py"
FEW = ["--train", "9", "--val", "4"]
COUNTS = {"train": 9, "val": 4}
ENDS = (slice(0, 2), slice(14, 16))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "far_cue_video"
    make_far_cue_video.main([str(root), *FEW])
    return root


def contents(root):
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in paths}


def drawn(number, first, last):
    return make_far_cue_video.draw(np.random.default_rng(number), first, last)


def listed(root, split):
    text = (root / f"far_cue_{split}_list_videos.txt").read_text()
    pairs = [line.split() for line in text.splitlines()]
    return [(root / f"videos_{split}" / name, int(label)) for name, label in pairs]


def frames(path):
    reader = cv2.VideoCapture(str(path))
    found = []
    while (frame := reader.read()[1]) is not None:
        found.append(frame)
    return np.stack(found)  # (T, H, W, 3)


def colours(clip, first="red"):
    """The name of the square's colour in each frame, None without one; ``first`` is
    the channel that comes first."""
    channels = clip.astype(int)
    apart = channels[..., 0] - channels[..., 2]  # (T, H, W)
    strong = np.where(abs(apart) > 70, np.sign(apart), 0).sum((1, 2))
    names = ("red", "blue") if first == "red" else ("blue", "red")
    return [names[int(n < 0)] if abs(n) >= 30 else None for n in strong]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(made, tmp_path):
    make_far_cue_video.main([str(tmp_path / "again"), *FEW])
    make_far_cue_video.main([str(tmp_path / "other"), *FEW, "--seed", "1"])
    assert contents(tmp_path / "again") == contents(made)
    first = "videos_train/000000.mp4"
    assert contents(tmp_path / "other")[first] != contents(made)[first]


def test_only_the_frames_of_a_square_differ_with_its_colour():
    for number in range(50):
        clip = drawn(number, "red", "red")
        for colours_, at in ((("blue", "red"), ENDS[0]), (("red", "blue"), ENDS[1])):
            differ = (clip != drawn(number, *colours_)).any(-1)  # (T, H, W)
            assert differ[at].any((1, 2)).all()
            differ[at] = False
            assert not differ.any()


def test_the_pixels_that_are_read_are_those_that_were_drawn(made):
    for index, split in enumerate(("train", "val")):
        for number, (path, _) in enumerate(listed(made, split)):
            pair = make_far_cue_video.PAIRS[number % 4]
            rng = np.random.default_rng([0, index, number])
            clip = make_far_cue_video.draw(rng, *pair)
            assert clip.shape == (16, 32, 32, 3)
            assert np.array_equal(frames(path), clip)


def test_the_class_says_whether_the_colours_agree(made):
    for split, count in COUNTS.items():
        clips = listed(made, split)
        assert len(clips) == count
        for path, label in clips:
            first, *rest = found = colours(frames(path), "blue")
            assert None not in (first, rest[-1])
            assert found == [first] * 2 + [None] * 12 + [rest[-1]] * 2
            assert label == int(first == rest[-1])


def test_all_pairs_of_colours_come_equally_often():
    numbers = Counter(make_far_cue_video.PAIRS)
    assert numbers == dict.fromkeys(
        [("red", "red"), ("red", "blue"), ("blue", "red"), ("blue", "blue")], 1
    )
    assert not any(count % 4 for count in make_far_cue_video.CLIPS)


def test_mmaction2_reads_the_squares_in_their_frames(made, monkeypatch):
    pytest.importorskip("mmaction")
    from mmengine.registry import DATASETS, DefaultScope

    import nlse_mm.registry  # noqa: F401 (lets MMAction2 be imported)
    from nlse_mm.config_file import read_config

    (made.parent / "data").symlink_to(made.parent)
    monkeypatch.chdir(made.parent)
    config = read_config(CONFIG)
    with DefaultScope.overwrite_default_scope("mmaction"):
        for split in COUNTS:
            dataset = DATASETS.build(config[f"{split}_dataloader"].dataset)
            assert len(dataset) == COUNTS[split]
            for (_, label), packed in zip(listed(made, split), dataset, strict=True):
                clip = packed["inputs"][0].numpy().transpose(1, 2, 3, 0)  # (T, H, W, 3)
                first, *_, last = found = colours(clip)
                assert found == [first] * 2 + [None] * 12 + [last] * 2
                assert packed["data_samples"].gt_label.item() == label
                assert label == int(first == last)


def test_a_finished_data_set_is_left_alone_and_another_is_refused(made, capsys):
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*.*")}
    make_far_cue_video.main([str(made), *FEW])
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"holds a data set made with .* delete it"):
        make_far_cue_video.main([str(made), *FEW, "--seed", "1"])
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*.*")} == before


def test_a_clip_that_was_not_written_whole_leaves_no_data_set(monkeypatch, tmp_path):
    class Full:
        def __init__(self, path, *_):
            Path(path).touch()

        def write(self, frame=None):
            return True

        isOpened = release = write  # noqa: N815

    Full.fourcc = cv2.VideoWriter.fourcc
    monkeypatch.setattr(cv2, "VideoWriter", Full)
    with pytest.raises(
        ConfigError, match=r"can't be written: 000000.mp4 does not hold"
    ):
        make_far_cue_video.main([str(tmp_path / "far_cue_video"), *FEW])
    assert not list(tmp_path.iterdir())


def test_an_opencv_without_the_codec_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2.VideoWriter, "fourcc", lambda *_: 0x20202020)
    with pytest.raises(ConfigError, match=r"OpenCV \S+ can't write PNG into an mp4"):
        make_far_cue_video.main([str(tmp_path / "far_cue_video"), *FEW])


def test_the_amount_of_a_colour_does_not_give_the_number_of_its_squares():
    def areas(first):
        clips = [drawn(n, first, "red").astype(int) for n in range(300)]
        red = [((c[..., 2] - c[..., 0])[[0, -1]] > 70).sum((1, 2)) for c in clips]
        return np.array(red)  # (clips, the first and the last frame)

    both, last = areas("red").sum(1), areas("blue").sum(1)
    assert last.min() < 50
    assert last.max() > 240
    thresholds = np.unique([both, last])[:, None]
    told = ((both > thresholds).mean(1) + (last <= thresholds).mean(1)) / 2
    # With the pairs that have no red square it is half of what is to be told.
    assert 0.6 < told.max() < 0.85
