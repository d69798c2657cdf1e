"""The tools that look into recognizers, on tiny models and videos."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("mmaction")

import make_far_cue_video
import model_on_images
import torch
from clip_figure import draw_clip
from clips import attention_of_clip
from mmengine.registry import MODELS, DefaultScope
from test_show import TINY, of

from nlse_mm.analysis import attention_blocks
from nlse_mm.config_file import read_config

BLOCK = "backbone.layer1.0.non_local_block"
# A map of 4 frames of 8 x 8 cells; 30 views of a video where a test is not for one.
CONFIG = """
_base_ = 'mmaction::_base_/default_runtime.py'
plugin = dict(type='nlse_mm.NonLocal3d', zeros_init=False, std=0.5, **{options})
backbone = dict(
    type='nlse_mm.ResNet3d', depth=18, num_stages=1, base_channels=4, inflate=0,
    spatial_strides=(1,), temporal_strides=(1,), dilations=(1,), out_indices=(0,),
    conv1_kernel=(1, 7, 7), with_pool2=False,
    plugins=[dict(cfg=plugin, stages=(True,), blocks=(0,), position='after_block')])
model = dict(
    type='Recognizer3D', backbone=backbone,
    cls_head=dict(type='I3DHead', num_classes=2, in_channels=4, average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[128.0] * 3, std=[60.0] * 3,
        format_shape='NCTHW'))
head = [dict(type='OpenCVInit')]
tail = [dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
train_dataloader = dict(dataset=dict(
    type='VideoDataset', ann_file='{folder}/list.txt',
    data_prefix=dict(video='{folder}'), metainfo=dict(classes=['differ', 'agree']),
    pipeline=head + [
        dict(type='SampleFrames', clip_len=4),
        dict(type='OpenCVDecode'),
        dict(type='Resize', scale=(56, 40), keep_ratio=False),  # Flip needs a copy
        dict(type='Flip', flip_ratio=1)] + tail))
test_dataloader = dict(dataset=dict(pipeline=head + [
    dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=10,
         test_mode=True),
    dict(type='OpenCVDecode'), dict(type='Resize', scale=(-1, 32)),
    dict(type='ThreeCrop', crop_size=32)] + tail))
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three videos of 10 frames of 40 x 56 pixels, and MMAction2's list of two."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        clip = rng.integers(0, 255, (10, 5, 7, 3), dtype=np.uint8)
        clip = clip.repeat(8, axis=1).repeat(8, axis=2)  # squares of 8 pixels, BGR
        make_far_cue_video.write_clip(folder / f"{name}.mp4", clip)
    (folder / "list.txt").write_text("a.mp4 0\nb.mp4 1\n")
    return folder


@pytest.fixture
def config(videos, tmp_path):
    """A function that writes the config, with other options of its block."""

    def write(**options):
        path = tmp_path / "recognizer.py"
        path.write_text(CONFIG.format(folder=videos, options=options))
        return path

    return write


@pytest.fixture
def weights(tmp_path):
    def write(path):
        cfg = read_config(path)
        with DefaultScope.overwrite_default_scope("mmaction"):
            state = MODELS.build(cfg.model).state_dict()
        torch.save(dict(meta={}, state_dict=state), tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    return write


def read(path):
    video = cv2.VideoCapture(str(path))
    return np.stack([video.read()[1][..., ::-1] for _ in range(10)])  # RGB


@pytest.mark.parametrize("axis", ["spacetime", "space", "time"])
def test_what_is_drawn_are_the_blocks_rows_over_the_videos_frames(
    axis, config, videos, launch
):
    model = model_on_images.load_model(of(config(axis=axis)))
    block = attention_blocks(model)[BLOCK]
    inputs = []
    block.register_forward_hook(lambda m, x, y: inputs.append(x[0].clone()))
    path, point = videos / "a.mp4", (32, 13, -1)
    clip, maps = attention_of_clip(
        model, {BLOCK: block}, lambda: model_on_images.run(model, path), [point]
    )
    assert clip.numbers == [1, 3, 5, 7]  # the middle clip
    (x,) = inputs
    assert x.shape == (1, 4, 4, 8, 8)
    # 40 x 56 pixels become 32 x 45, of which 32 columns are taken from the 6th.
    left, scale = 6 / 45 * 56, 45 / 56
    row, column = int(13.5 * 0.8 / 4), int((32.5 - left) * scale / 4)
    rows = block.attention(x)[0, 0].detach()[(3 * 8 + row) * 8 + column]
    figure = draw_clip(clip, maps, [point])
    panels = [axis for axis in figure.axes if len(axis.images) == 2]
    assert [panel.get_title().split()[-1] for panel in panels] == ["0", "1", "2", "3"]
    expected = np.full((4, 8, 8), np.nan)
    if axis == "spacetime":
        expected = rows.view(4, 8, 8).numpy()
    elif axis == "space":
        expected[3] = rows.view(8, 8).numpy()
    else:
        expected[:, row, column] = rows.numpy()
    frames = read(path)
    for number, panel in enumerate(panels):
        frame, heat = sorted(panel.images, key=lambda image: image.zorder)
        np.testing.assert_allclose(
            heat.get_array().filled(np.nan), expected[number], rtol=1e-4
        )
        assert panel.get_xlim() == pytest.approx((left, left + 32 / scale))
        assert panel.get_ylim() == pytest.approx((40, 0))
        # In the middle of each square, drawn and read pixels have one colour.
        for x_, y_ in ((12, 4), (20, 12), (36, 28)):
            at = int(y_ * 0.8), int((x_ - left) * scale)
            drawn = frame.get_array()[at].astype(int)
            assert np.abs(drawn - frames[2 * number + 1, y_, x_]).max() < 3
    arrows = [patch for patch in figure.artists if hasattr(patch, "axesB")]
    assert len(arrows) == min(20, int((expected > np.nanmean(expected)).sum()))
    best = np.unravel_index(np.nanargmax(expected), expected.shape)
    assert arrows[0].axesA is panels[3]
    assert arrows[0].axesB is panels[best[0]]
    place = left + 4 * (best[2] + 0.5) / scale, 5 * (best[1] + 0.5)
    assert arrows[0].xy2 == pytest.approx(place)


def test_a_videos_attention_is_drawn(config, videos, weights, launch, capsys):
    path = config(sub_sample=True)
    arguments = [videos / "b.mp4", path, weights(path), "--at", "20,20,0"]
    arguments += ["--at", "30,9,-1", "--out", "new/clip.png"]
    launch("analysis/show_attention.py", *arguments)
    out = capsys.readouterr().out
    assert f"blocks:\n  {BLOCK}\n" in out
    assert "frames of the clip, as numbers in the video: 1 3 5 7\n" in out
    assert cv2.imread("new/clip.png").std() > 10


def test_what_cannot_be_drawn_of_a_video_ends_in_a_sentence(
    config, videos, tmp_path, sentence_of
):
    path, video, tool = config(), videos / "a.mp4", "analysis/show_attention.py"
    broken, image = tmp_path / "broken.mp4", tmp_path / "image.png"
    broken.write_bytes(video.read_bytes()[:200])
    cv2.imwrite(str(image), np.zeros((40, 56, 3), np.uint8))
    for arguments, sentence in (
        ([video, path, "--at", "5,5"], "--at 5,5 names no frame: "),
        ([image, path, "--at", "5,5,1"], "--at 5,5,1 names a frame, and "),
        ([image, path, "--at", "5,5"], "recognizer.py takes clips"),
        ([video, path, "--at", "20,5,4"], "20,5,4 is in no frame of the clip, which "),
        ([video, path, "--at", "56,5,1"], "56,5 is outside of the image, which has x "),
        ([video, path, "--at", "2,5,1"], "the crop with x from 7 to 46 and y from 0 "),
        ([broken, path, "--at", "5,5,1"], "broken.mp4 can't be read: no frame is"),
        ([tmp_path / "no.mp4", path, "--at", "5,5,1"], "no.mp4 does not exist"),
    ):
        assert sentence in sentence_of(tool, *arguments)


def test_a_video_and_a_model_of_images_are_refused(videos, sentence_of):
    pytest.importorskip("mmseg")
    arguments = [videos / "a.mp4", TINY / "fcn_r18_nl.py", "--at", "5,5,1"]
    said = sentence_of("analysis/show_attention.py", *arguments)
    assert "a.mp4 is a video, and the model of " in said
    assert said.endswith("fcn_r18_nl.py takes images")


def test_statistics_of_videos_have_distances_in_frames(
    config, videos, weights, tmp_path, launch, capsys
):
    path = config()
    folder = tmp_path / "classes" / "agree"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        shutil.copy(videos / f"{name}.mp4", folder)
    arguments = [path, weights(path), folder.parent, "--queries", "30"]
    launch("analysis/attention_statistics.py", *arguments)
    first, head, _, row = capsys.readouterr().out.splitlines()[-4:]
    assert first == "2 videos, 30 queries in each"
    head, row = ([cell.strip() for cell in line.split("|")] for line in (head, row))
    values = dict(zip(head, row, strict=True))
    assert values["block"] == BLOCK
    # Two random frames of four are 1.25 apart, two points of 32 x 32 pixels 16.7.
    assert 1 < float(values["uniform frames"].split()[0]) < 1.5
    assert 15 < float(values["uniform"].split()[0]) < 18


def test_the_training_clips_are_drawn_with_their_class(
    config, videos, launch, monkeypatch
):
    import clip_figure

    drawn = []
    monkeypatch.setattr(
        clip_figure,
        "draw_frames",
        lambda *a, draw=clip_figure.draw_frames: drawn.append(a) or draw(*a),
    )
    launch("analysis/browse_data.py", config(), "--out", "drawn")
    names = sorted(path.name for path in Path("drawn").glob("*"))
    assert names == ["0000_a_horizontal.png", "0001_b_horizontal.png"]
    (frames, first), (_, second) = drawn
    assert (first[-12:], second[-11:]) == ("class differ", "class agree")
    mirrored = read(videos / "a.mp4")[:, :, ::-1]
    starts = [n for n in range(7) if np.array_equal(mirrored[n : n + 4], frames)]
    assert len(starts) == 1
    assert cv2.imread("drawn/0000_a_horizontal.png").std() > 10
