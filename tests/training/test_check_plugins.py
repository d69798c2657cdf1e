"""A plugin that a training can't change is told at the first step, by name."""

import copy
import itertools

import pytest
import torch
from mmcv.cnn import NonLocal2d as MMCVNonLocal2d
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from nlse_mm.ops.older_torch import HAS_CUSTOM_OPS
from nlse_mm.plugins import NonLocal2d, SELayer
from nlse_mm.training.check_plugins import STEPS

BN = dict(type="BN")
FROZEN = dict(type="BN", requires_grad=False)
PLACE = dict(stages=(True, False, False, False), blocks=(0,), position="after_block")
BLOCK = "backbone.layer1.0.nonlocal_block"
SE_BLOCK = "backbone.layer1.0.se_layer"
_numbers = itertools.count()


def nl(norm_cfg=BN, **place):
    return dict(cfg=dict(type="nlse_mm.NonLocal2d", norm_cfg=norm_cfg), **place)


def se(**place):
    return dict(cfg=dict(type="nlse_mm.SELayer", reduction=4), **place)


def resnet(*plugins, name="nlse_mm.ResNet", depth=18, **kwargs):
    small = dict(base_channels=8, stem_channels=8)
    return dict(type=name, depth=depth, plugins=list(plugins), **small, **kwargs)


def on_output(*plugins):
    base = dict(base="ResNet", depth=18, base_channels=8, stem_channels=8)
    return dict(type="nlse_mm.WithPlugins", plugins=list(plugins), **base)


class Detector(BaseModel):
    """A loss of the mean of what ``losses`` says of a backbone's maps."""

    def __init__(self, backbone, losses=sum):
        super().__init__()
        self.backbone = MODELS.build(backbone)
        self.losses = losses
        self.head = nn.Parameter(torch.ones(()))

    def forward(self, inputs, mode="loss"):
        means = [self.head * m.square().mean() for m in self.backbone(inputs)]
        return dict(loss=self.losses(means))


def calls_hooks_after_compiling():
    """In PyTorch 2.1 optimizers call no hooks any more once anything was compiled."""
    step = torch.optim.SGD.step
    if not HAS_CUSTOM_OPS and step.__code__.co_name != "wrapper":
        step.hooked = False  # the next optimizer calls them again


@pytest.fixture
def warned(tmp_path, in_mmdet):
    """Train a model with the hook, and return what the hook warned of."""
    calls_hooks_after_compiling()

    def train(model, *hooks, steps=2, **settings):
        data = [dict(inputs=torch.rand(3, 32, 64)) for _ in range(2)]
        runner = Runner(
            model=model,
            work_dir=str(tmp_path),
            train_dataloader=DataLoader(data, batch_size=2),
            train_cfg=dict(by_epoch=True, max_epochs=steps),
            custom_hooks=[*hooks, dict(type="nlse_mm.CheckPluginsHook")],
            default_hooks=dict(checkpoint=None),
            default_scope="mmdet",
            log_level="ERROR",
            experiment_name=f"{tmp_path.name}-{next(_numbers)}",
            **dict(optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01))) | settings,
        )
        lines = []
        runner.logger.warning = lines.append
        runner.train()
        return lines

    yield train
    for manager in (MessageHub, MMLogger, Visualizer):
        manager._instance_dict.clear()


def frozen_by(name):
    class Freezes(Hook):
        def before_train(self, runner):
            runner.model.get_submodule(name).requires_grad_(False)

    return Freezes()


@pytest.mark.parametrize(
    "backbone",
    [
        resnet(nl(**PLACE)),
        resnet(nl(**PLACE), frozen_stages=4),
        resnet(se(**PLACE), depth=50),
        resnet(nl(**PLACE), name="nlse_mm.SEResNet", reduction=4, frozen_stages=1),
        resnet(nl(position="after_conv2")),  # before the branch's last norm, of zeros
        on_output(nl(output=1), se(after="layer3")),
        dict(type="mmdet.ResNet", depth=50, plugins=[nl(position="after_conv3")]),
        dict(type="nlse_mm.SelfAttentionNet", channels=18, strides=(8, 2)),
    ],
    ids=lambda b: f"{b['type']} {b.get('plugins')}"[:60],
)
def test_plugins_that_learn_are_not_warned_of(warned, backbone):
    if backbone["type"] == "nlse_mm.SelfAttentionNet":
        backbone = dict(backbone, out_indices=(0, 1))
    assert warned(Detector(backbone)) == []


ZERO = (
    "no gradient passes its conv_out.bn, which is zero and frozen (requires_grad=False)"
)
ALL_FROZEN = "every parameter is frozen (requires_grad=False)"
UNUSED = (
    "no gradient reaches it, since nothing that the loss is made of uses its output"
)


@pytest.mark.parametrize(
    ("backbone", "losses", "name", "why"),
    [
        (resnet(nl(FROZEN, **PLACE)), sum, BLOCK, ZERO),
        (on_output(nl(FROZEN, output=1)), sum, "backbone.nonlocal_block_output1", ZERO),
        (
            on_output(nl(output=0)),
            lambda maps: sum(maps[1:]),  # as FPN(start_level=1)
            "backbone.nonlocal_block_output0",
            UNUSED,
        ),
        (
            on_output(se(output=3)),
            lambda maps: maps[3].detach() + maps[0],
            "backbone.se_layer_output3",
            UNUSED,
        ),
        (
            on_output(se(after="layer4")),
            lambda maps: sum(maps[:3]),
            "backbone.se_layer_after_layer4",
            UNUSED,
        ),
        (
            dict(
                type="mmdet.ResNet",
                depth=50,
                frozen_stages=1,
                plugins=[
                    dict(
                        cfg=dict(type="nlse_mm.SELayer", postfix="_x"),
                        stages=(True, False, False, False),
                        position="after_conv3",
                    )
                ],
            ),
            sum,
            ", ".join(f"backbone.layer1.{i}.se_layer_x" for i in range(3)),
            ALL_FROZEN,
        ),
    ],
    ids=["frozen norm", "on an output", "unused", "detached", "after", "stock stage"],
)
def test_a_plugin_that_cannot_learn_is_named_with_the_reason(
    warned, backbone, losses, name, why
):
    lines = warned(Detector(backbone, losses))
    assert lines == [f"a plugin that does not learn: {name}: {why}"]


def test_a_stock_block_in_a_frozen_stage_is_named_too(warned):
    entry = dict(cfg=dict(type="NonLocal2d"), position="after_conv3")
    entry["stages"] = (True, False, False, False)
    backbone = dict(type="mmdet.ResNet", depth=50, frozen_stages=1, plugins=[entry])
    model = Detector(backbone)
    assert isinstance(model.backbone.layer1[0].nonlocal_block, MMCVNonLocal2d)
    (said,) = warned(model)
    assert "backbone.layer1.2.nonlocal_block: no gradient passes its conv_out" in said


@pytest.mark.parametrize("part", ["backbone", "backbone.layer1"])
@pytest.mark.parametrize(("plugin", "name"), [(nl, BLOCK), (se, SE_BLOCK)])
def test_a_part_that_a_hook_froze_is_noticed(warned, part, plugin, name):
    (said,) = warned(Detector(resnet(plugin(**PLACE))), frozen_by(part))
    assert name in said
    assert "frozen (requires_grad=False)" in said


@pytest.mark.parametrize("warm_up", [False, True])
def test_a_learning_rate_of_zero_is_noticed_and_a_warm_up_is_not(warned, warm_up):
    paramwise = dict(custom_keys={"se_layer": dict(lr_mult=0.0)})
    wrapper = dict(optimizer=dict(type="SGD", lr=0.1), paramwise_cfg=paramwise)
    model = Detector(resnet(se(**PLACE), nl(**PLACE)))
    schedule = []
    if warm_up:
        schedule = [dict(type="LinearLR", start_factor=1e-9, by_epoch=False, end=9)]
    (said,) = warned(model, optim_wrapper=wrapper, param_scheduler=schedule)
    assert said == (
        f"a plugin that does not learn: {SE_BLOCK}: every parameter is given a "
        "learning rate of 0, as by optim_wrapper.paramwise_cfg"
    )


def test_a_norm_of_zeros_with_a_learning_rate_of_zero_is_noticed(warned):
    paramwise = dict(custom_keys={"conv_out.bn": dict(lr_mult=0.0)})
    wrapper = dict(optimizer=dict(type="SGD", lr=0.1), paramwise_cfg=paramwise)
    (said,) = warned(Detector(resnet(nl(**PLACE))), optim_wrapper=wrapper)
    assert (
        f"{BLOCK}: no gradient passes its conv_out.bn, which is zero and given" in said
    )


def test_a_plugin_in_no_parameter_group_is_noticed(warned):
    model = Detector(resnet(nl(**PLACE)))
    rest = [p for n, p in model.named_parameters() if "nonlocal" not in n]
    wrapper = OptimWrapper(torch.optim.SGD(rest, lr=0.1))
    # Its conv_out's norm is zero, and so stays.
    (said,) = warned(model, optim_wrapper=wrapper)
    assert BLOCK in said
    assert "in no parameter group of the optimizer" in said


@pytest.mark.parametrize("amount", [0, 1])
def test_each_optimizer_answers_for_its_own_plugins(warned, amount):
    class Alternating(Detector):
        def train_step(self, data, optim_wrapper):
            data = self.data_preprocessor(data)  # onto the model's device
            with optim_wrapper["rest"].optim_context(self):
                loss = self(**data)["loss"]
            optim_wrapper["rest"].update_params(loss)
            optim_wrapper["plugin"].zero_grad()
            with optim_wrapper["plugin"].optim_context(self):
                loss = amount * self(**data)["loss"] + 0
            optim_wrapper["plugin"].update_params(loss)
            return {}

    model = Alternating(resnet(nl(**PLACE)))
    plugin = model.backbone.layer1[0].nonlocal_block
    rest = [p for n, p in model.named_parameters() if "nonlocal" not in n]
    wrapper = OptimWrapperDict(
        rest=OptimWrapper(torch.optim.SGD(rest, lr=0.1)),
        plugin=OptimWrapper(torch.optim.SGD(plugin.parameters(), lr=0.1)),
    )
    lines = warned(model, optim_wrapper=wrapper, steps=STEPS)
    assert len(lines) == 1 - amount


@pytest.mark.parametrize(("steps", "number"), [(STEPS - 1, 0), (STEPS, 1)])
def test_gradients_of_zero_are_a_matter_of_ten_steps(warned, steps, number):
    model = Detector(resnet(nl(**PLACE)), lambda maps: maps[0] * 0)
    lines = warned(model, steps=steps)
    assert len(lines) == number
    assert all(f"exactly zero in the first {STEPS} steps" in line for line in lines)


def test_a_first_batch_without_objects_is_no_reason(warned):
    seen = []

    def people_in_the_third(maps):
        seen.append(1)
        return sum(maps) * (len(seen) == 3)

    model = Detector(resnet(nl(**PLACE)), people_in_the_third)
    assert warned(model, steps=STEPS + 2) == []


def test_accumulated_gradients_are_checked_when_they_are_used(warned):
    seen = []

    def second_only(maps):
        seen.append(1)
        return maps[0].detach().requires_grad_() if len(seen) == 1 else sum(maps)

    wrapper = dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=2)
    assert (
        warned(Detector(resnet(nl(**PLACE)), second_only), optim_wrapper=wrapper) == []
    )


def test_a_frozen_plugin_that_a_checkpoint_fills_is_meant(warned, tmp_path):
    trained = Detector(resnet(se(**PLACE)))
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / "trained.pth")
    model = Detector(resnet(se(**PLACE)))
    load = str(tmp_path / "trained.pth")
    assert warned(model, frozen_by("backbone"), load_from=load) == []
    del trained.backbone.layer1[0].se_layer
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / "baseline.pth")
    load = str(tmp_path / "baseline.pth")
    (said,) = warned(model, frozen_by("backbone"), load_from=load)
    assert said.endswith(f"{SE_BLOCK}: {ALL_FROZEN}")


class Pair(BaseModel):
    """A student that learns from a frozen teacher."""

    def __init__(self, student, teacher):
        super().__init__()
        self.student, self.teacher = student, teacher.requires_grad_(False)

    def forward(self, inputs, mode="loss"):
        with torch.no_grad():
            taught = self.teacher(inputs)["loss"]
        return dict(loss=(self.student(inputs)["loss"] - taught).square())


def test_a_teacher_need_not_learn(warned):
    student = Detector(resnet(nl(**PLACE)))
    assert warned(Pair(student, copy.deepcopy(student))) == []

    class Fixed(Pair):
        def train(self, mode=True):
            super().train(mode)
            self.teacher.eval()
            return self

    assert warned(Fixed(student, Detector(resnet(se(**PLACE), depth=34)))) == []


def test_the_se_layers_of_a_frozen_stage_are_the_backbones(warned):
    backbone = resnet(name="nlse_mm.SEResNet", reduction=4, frozen_stages=2)
    assert warned(Detector(backbone)) == []


def test_a_layer_of_ours_in_someone_elses_model_is_noticed(warned):
    class Own(BaseModel):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3)
            self.look = NonLocal2d(8, norm_cfg=FROZEN)
            self.gate = SELayer(8, reduction=2)

        def forward(self, inputs, mode="loss"):
            return dict(loss=self.look(self.first(inputs)).mean())

    assert sorted(warned(Own())) == [
        f"a plugin that does not learn: gate: {UNUSED}",
        f"a plugin that does not learn: look: {ZERO}",
    ]
