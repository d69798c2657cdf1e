"""What test.py's and train.py's options write into a config."""

from argparse import ArgumentParser, Namespace

import pytest
from mmengine.config import Config

from nlse_mm.errors import ConfigError
from nlse_mm.training.command_line import add_output
from nlse_mm.training.prediction_options import keep_predictions, set_images, set_tta
from nlse_mm.training.train_options import set_amp, set_checkpoint_hook


def config(scope, last="PackDetInputs", **more):
    pipeline = [dict(type="LoadImageFromFile"), dict(type=last, meta_keys=("img_id",))]
    wrapped = dict(type="RepeatDataset", dataset=dict(pipeline=pipeline))
    loader = dict(dataset=wrapped)
    return Config(
        dict(default_scope=scope, model=dict(), test_dataloader=loader) | more
    )


@pytest.mark.parametrize(
    ("pack", "flip", "model"),
    [
        ("PackDetInputs", "RandomFlip", "DetTTAModel"),
        (
            "nlse_mm.PackKeypoints",
            "nlse_mm.FlipKeypoints",
            "nlse_mm.KeypointTTAModel",
        ),
    ],
)
def test_a_detector_is_tested_on_the_image_and_then_on_its_mirror(pack, flip, model):
    cfg = config("mmdet", pack)
    set_tta(cfg)
    load, views = cfg.test_dataloader.dataset.dataset.pipeline
    flips, (last,) = views.transforms
    assert load.type == "LoadImageFromFile"
    assert [(view.type, view.prob) for view in flips] == [(flip, 0.0), (flip, 1.0)]
    assert last.type == pack
    assert ("flip_indices" in last.get("meta_keys", ())) == (pack != "PackDetInputs")
    assert (cfg.model.type, cfg.model.module) == (model, {})


def test_the_views_of_a_config_stay():
    own = dict(tta_model=dict(type="Own"), tta_pipeline=[dict(type="OwnViews")])
    cfg = config("mmdet", **own)
    set_tta(cfg)
    assert cfg.model.type == "Own"
    assert cfg.test_dataloader.dataset.dataset.pipeline == [dict(type="OwnViews")]


def test_a_segmentation_has_no_views_of_its_own():
    with pytest.raises(ConfigError, match="--tta needs tta_model in the config"):
        set_tta(config("mmseg"))


@pytest.mark.parametrize(
    ("scope", "dump"), [("mmdet", "DumpDetResults"), ("mmengine", "DumpResults")]
)
def test_predictions_are_kept_by_one_more_metric(scope, dump):
    cfg = config(scope, test_evaluator=dict(type="Own"))
    keep_predictions(cfg, "a.pkl")
    kept = dict(type=dump, out_file_path="a.pkl")
    assert cfg.test_evaluator == [dict(type="Own"), kept]


def test_label_images_are_kept_by_each_metric_of_a_segmentation():
    cfg = config("mmseg", test_evaluator=[dict(type="One"), dict(type="Two")])
    keep_predictions(cfg, "labels")
    kept = dict(output_dir="labels", keep_results=True)
    assert cfg.test_evaluator == [dict(type=kind, **kept) for kind in ("One", "Two")]


@pytest.mark.parametrize("scope", ["mmdet", "mmseg"])
def test_images_go_where_the_toolbox_looks(scope):
    hooks = dict(visualization=dict(type="Own"))
    cfg = config(scope, default_hooks=hooks, visualizer=dict(type="Own"))
    set_images(cfg, Namespace(show=False, show_dir="drawn", wait_time=2))
    hook = dict(type="Own", draw=True)
    if scope == "mmseg":
        assert cfg.default_hooks.visualization == hook | dict(interval=1)
        assert cfg.visualizer.save_dir == "drawn"
    else:
        assert cfg.default_hooks.visualization == hook | dict(test_out_dir="drawn")


def test_mixed_precision_of_another_wrapper_is_refused():
    with pytest.raises(ConfigError, match="not 'ApexOptimWrapper'"):
        set_amp(Config(dict(optim_wrapper=dict(type="ApexOptimWrapper"))), amp=True)


@pytest.mark.parametrize(
    ("hooks", "saver"),
    [
        (None, dict(type="nlse_mm.CheckpointHook", interval=1)),
        (
            dict(checkpoint=dict(type="CheckpointHook", interval=5)),
            dict(type="nlse_mm.CheckpointHook", interval=5),
        ),
        (dict(checkpoint=dict(type="Own")), dict(type="Own")),
    ],
)
def test_our_checkpoint_hook_stands_for_the_stock_one_only(hooks, saver):
    cfg = Config(dict(default_hooks=hooks))
    set_checkpoint_hook(cfg)
    assert cfg.default_hooks["checkpoint"] == saver


def test_an_output_that_cannot_be_written_is_refused_before_any_work(tmp_path, capsys):
    parser = ArgumentParser()
    add_output(parser)
    (tmp_path / "file").touch()
    wanted = tmp_path / "new" / "folder" / "table.md"
    assert parser.parse_args(["--output", str(wanted)]).output == wanted
    assert not wanted.parent.exists()
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--out", str(tmp_path / "file" / "table.md")])
    assert ended.value.code == 2
    wrong = (
        f"argument --output/--out: {tmp_path}/file/table.md: {tmp_path}/file is not a "
    )
    assert f"{wrong}folder that can be written to" in capsys.readouterr().err


def test_an_output_that_is_a_folder_is_refused_where_a_file_is_written(
    tmp_path, capsys
):
    files, folders = ArgumentParser(), ArgumentParser()
    add_output(files)
    add_output(folders, is_folder=True)
    words = ["--out", str(tmp_path)]
    assert folders.parse_args(words).output == tmp_path
    with pytest.raises(SystemExit) as ended:
        files.parse_args(words)
    assert ended.value.code == 2
    assert f"{tmp_path} is a folder, not a file to write" in capsys.readouterr().err
