"""The tool that adds plugins to every shipped config, on a handful of them."""

import sys
from argparse import Namespace

import check_configs
import pytest
from shipped import check as checks
from shipped.definitions import Definition, collect, leaves

from nlse_mm.plugins import SELayer

HANDFUL = (
    "mmdet/mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py",  # plugin entries of nlse_mm.ResNet
    "mmdet/yolox/yolox_nano",
    "mmseg/hrnet/fcn_hr18s_4xb4-20k_voc",
    "mmseg/pidnet/pidnet-s",  # other maps in training than in inference
)
BACKBONE = dict(
    type="SwinTransformer", embed_dims=24, depths=(2, 1, 1, 1), num_heads=(1, 2, 3, 4)
)


@pytest.fixture
def in_both(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # tables that don't wrap
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool; its exit code, and what it wrote to stdout and stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["check_configs.py", *map(str, words)])
        monkeypatch.setenv("LOCAL_RANK", "0")
        with pytest.raises(SystemExit) as end:
            check_configs.main()
        out, err = capsys.readouterr()
        return end.value.code, " ".join(out.split()), err

    return call


def check(**kwargs):
    definition = Definition("mmdet", {**BACKBONE, **kwargs})
    checks.check(definition)
    return definition.reason


def test_a_handful_of_shipped_configs_pass(in_both, run):
    code, said, _ = run(*HANDFUL)
    assert code == 0
    assert "4 of 4 configs with an image backbone that loads pass (100.0%)" in said
    assert "Did not pass" not in said


def test_the_walk_finds_the_leaves(in_both):
    for toolbox, number in (("mmdet", 823), ("mmseg", 681)):
        names = [name for name, _ in leaves(toolbox)]
        assert len(set(names)) == len(names) >= number
        assert not any("/_base_" in name for name in names)


def test_a_config_that_does_not_load_is_not_counted(in_both, run):
    code, said, _ = run("mmdet/common/ms_3x_coco.py")
    assert code == 1  # nothing was checked
    assert "1 configs not counted" in said
    assert "it defines no model" in said


def test_a_wrong_word_is_answered(in_both, run):
    code, _, said = run("mmdet/no_such_folder")
    assert code == 2
    assert said == "error: no shipped config has ['mmdet/no_such_folder'] in its name\n"


TOY = """
import torch
from torch import nn
from nlse_mm.registry import MODELS


@MODELS.register_module()
class ToyOf{name}(nn.Module):
    _abbr_ = "toy"

    def __init__(self, in_channels):
        super().__init__()
        self.in_channels = in_channels
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.scale * x{fault}
"""


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """Write a file that registers a plugin; the file and the name."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(name, fault=""):
        path = tmp_path / f"toy_of_{name.lower()}.py"
        path.write_text(TOY.format(name=name, fault=fault))
        return path, f"nlse_mm.ToyOf{name}"

    return write


def test_a_plugin_of_the_users_own_file_is_checked_in_both_places(in_both, run, toy):
    path, name = toy("One")
    configs = (HANDFUL[0], "mmdet/yolox/yolox_nano")
    code, said, _ = run(*configs, "--import", path, "--plugin", name)
    assert "2 of 2 configs" in said
    assert code == 0
    path, name = toy("Two", fault=" + 1")
    code, said, _ = run("mmdet/yolox/yolox_nano", "--import", path, "--plugin", name)
    assert (code, "its outputs differ at the start" in said) == (1, True)


def test_wrong_plugins_and_files_end_in_a_sentence(in_both, run):
    code, _, said = run("--plugin", "nlse_mm.NonLocal", "mmdet/yolox/yolox_nano")
    assert code == 2
    assert "--plugin: type='nlse_mm.NonLocal' is not a registered plugin" in said
    code, _, said = run("--import", "no/such_file.py")
    assert code == 2
    assert said.startswith("error: --import no/such_file.py can't be imported: Module")


@pytest.mark.parametrize(
    ("number", "places"),
    [
        (1, [("a", 2), ("a", -1)]),
        (2, [("a", 2), ("b", -1)]),
        (3, [("a", 2), ("b", -1), ("c", 2)]),
    ],
)
def test_plugins_are_spread_over_the_places(number, places):
    plugins = [dict(type=name) for name in "abc"[:number]]
    entries = checks.with_plugins(BACKBONE, 4, plugins)["plugins"]
    assert [(e["cfg"]["type"], e["output"]) for e in entries] == places


def test_what_differs_only_in_its_weights_is_checked_once(tmp_path):
    necks = ("neck=dict(type='A')", "neck=dict(type='A', init_cfg=3)", "neck=None")
    for i, neck in enumerate(necks):
        (tmp_path / f"{i}.py").write_text(
            f"model = dict(backbone=dict(type='ResNet', init_cfg=dict(w={i})), {neck})"
        )
    (tmp_path / "3.py").write_text("model = dict(detector=dict(backbone=dict()))")
    (tmp_path / "4.py").write_text("1 / 0")
    found, left_out = collect([(f"mmdet/{i}", tmp_path / f"{i}.py") for i in range(5)])
    (definition,) = found
    assert definition.config == dict(type="ResNet")
    assert definition.users == ["mmdet/0", "mmdet/1", "mmdet/2"]
    (neck,) = definition.necks.values()
    assert neck.users == ["mmdet/0", "mmdet/1"]
    assert left_out.keys() == {"mmdet/3", "mmdet/4"}
    assert "division" in left_out["mmdet/4"]


def test_a_plain_backbone_passes(in_mmdet):
    assert check() is None


def test_a_backbone_that_does_not_build_is_told_apart(in_mmdet):
    with pytest.raises(checks.NotHereError, match="depth"):
        check(depth=50)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda c: {**c, "plugins": c["plugins"][:1]}, "no SELayer in it"),
        (lambda c: {**c, "depths": (1, 1, 1, 1)}, "renamed: "),
        (lambda c: {**c, "depths": (2, 1, 1, 2)}, "not a plugin's: "),
        (lambda c: {**c, "act_cfg": dict(type="ReLU")}, "differ at the start"),
        (
            lambda c: {**c, "plugins": [*c["plugins"], dict(output=9)]},
            "'cfg'",
        ),
    ],
    ids=["no SE", "renamed", "more", "other values", "refused"],
)
def test_a_model_that_is_not_what_it_has_to_be_is_told(
    in_mmdet, monkeypatch, fault, said
):
    right = checks.with_plugins
    monkeypatch.setattr(checks, "with_plugins", lambda *a: fault(right(*a)))
    assert said in check()


def test_a_neck_is_checked_on_a_size_that_suits_it(in_mmdet, monkeypatch):
    neck = dict(type="FPN", in_channels=[24, 48, 96, 192], out_channels=8, num_outs=6)
    definition = Definition(
        "mmdet", BACKBONE, necks=dict(fpn=Definition("mmdet", neck))
    )
    sizes = []

    def seen(plain, config, maps, plugins):
        sizes.append(maps[0].shape[2:])
        return "seen"

    def said():
        checks.check(definition)
        return definition.necks["fpn"].reason

    monkeypatch.setattr(checks, "_reason", seen)
    monkeypatch.setattr(checks, "DryRun", lambda *_, **__: Namespace(size=(16, 16)))
    assert said() == "seen"
    # 16 pixels leave one position in the third map: too few for sub-sampling.
    assert sizes[1:] == [(64, 64)]
    with monkeypatch.context() as without_larger_sizes:
        without_larger_sizes.setattr(checks, "LARGER", ())
        assert "a single row" in said()
    monkeypatch.setitem(neck, "in_channels", [24, 48, 96, 200])
    assert said().startswith("untouched, it does not run")


def test_a_plugin_that_changes_the_outputs_ends_in_exit_code_1(
    in_both, monkeypatch, run
):
    monkeypatch.setitem(checks.PLUGINS[1], "zero_init", False)
    code, said, _ = run("mmdet/yolox/yolox_nano")
    assert code == 1
    assert "its outputs differ at the start" in said
    assert "0 of 1 configs" in said


def test_a_gate_that_is_not_1_is_seen_in_a_branch_that_starts_at_zero(
    in_mmdet, monkeypatch
):
    backbone = Definition("mmdet", dict(type="ResNet", depth=18, base_channels=16))
    checks.check(backbone)
    assert backbone.reason is None
    monkeypatch.setitem(checks.PLUGINS[1], "zero_init", False)
    checks.check(backbone)
    assert backbone.reason == "its outputs differ at the start"


def test_what_overflows_has_to_do_so_in_the_same_places():
    def row(*values):
        return checks.torch.tensor(values, dtype=checks.torch.float32)

    nan, inf = float("nan"), float("inf")
    assert checks._identical(row(1, nan, inf), row(1, nan, inf))
    assert not checks._identical(row(1, nan), row(1, 0))
    assert not checks._identical(row(1, inf), row(1, 3.4028235e38))


@pytest.mark.parametrize("fault", ["frozen", "unreached"])
def test_a_plugin_that_cannot_learn_is_told(in_mmdet, monkeypatch, fault):
    def broken(self, x):
        return x

    if fault == "frozen":
        monkeypatch.setattr(
            SELayer,
            "train",
            lambda self, mode=True: self.requires_grad_(False) and self,
        )
    else:
        monkeypatch.setattr(SELayer, "forward", broken)
    said = check()
    assert (
        said
        == dict(
            frozen="se_layer_output3 is frozen",
            unreached="no gradient reaches se_layer_output3",
        )[fault]
    )
