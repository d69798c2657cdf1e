"""What the launchers do with a checkpoint that isn't quite the model's."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

pytest.importorskip("mmcv")
TOY = Path(__file__).parent / "launcher_toy"
CONFIG = TOY / "config.py"
WORK = ("--work-dir", "work")
ANYWAY = ("--cfg-options", "check_weights=False")
SHORT = "train_cfg.max_epochs=1"


@pytest.fixture(autouse=True)
def _here(launch, monkeypatch):
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("TOY_LOG", "pids")


@pytest.fixture
def loaded(monkeypatch):
    """The Runners whose checkpoint has been loaded."""
    runners = []
    original = Runner.load_or_resume

    def load_or_resume(self):
        original(self)
        runners.append(self)

    monkeypatch.setattr(Runner, "load_or_resume", load_or_resume)
    return runners


def weights(value=0.5, prefix="", channels=4):
    """All that the toy model needs, in one value."""
    shapes = {
        "body.0.weight": (channels, 3, 3, 3),
        "body.0.bias": (channels,),
        "body.1.weight": (channels,),
        "body.1.bias": (channels,),
        "body.1.running_mean": (channels,),
        "body.1.running_var": (channels,),
        "head.weight": (1, channels, 1, 1),
        "head.bias": (1,),
    }
    return {prefix + k: torch.full(shape, value) for k, shape in shapes.items()}


def values(runner):
    return {round(float(p.mean()), 4) for p in runner.model.parameters()}


@pytest.mark.parametrize(
    "prefix", ["", "module.", "module.module.", "_orig_mod.", "module._orig_mod."]
)
def test_a_wrapped_models_weights_are_loaded_not_only_accepted(launch, loaded, prefix):
    torch.save(dict(state_dict=weights(prefix=prefix)), "a.pth")
    launch("test.py", CONFIG, "a.pth", *WORK)
    assert values(loaded[0]) == {0.5}


def test_bare_weights_with_copies_and_notes_are_loaded(launch, loaded):
    copies = {f"ema_{k.replace('.', '_')}": v for k, v in weights(0.25).items()}
    torch.save(weights() | copies | dict(epoch=3, optimizer={}), "a.pth")
    launch("test.py", CONFIG, "a.pth", *WORK)
    assert values(loaded[0]) == {0.5}


def test_a_name_that_begins_like_a_wrapper_is_not_cut(launch, loaded, monkeypatch):
    """MMEngine takes ``module`` and one character more off: ``module_list`` as well."""
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("listed.py").write_text(
        f"_base_ = '{CONFIG}'\nmodel = dict(type='ListedModel')\n"
        f"custom_imports = dict(imports=['toy', 'listed_toy'])\n"
    )
    Path("listed_toy.py").write_text(
        "from mmengine.registry import MODELS\n"
        "from toy import ToyModel\n"
        "@MODELS.register_module(force=True)\n"
        "class ListedModel(ToyModel):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.module_list, self.module = self.body, self.head\n"
    )
    renamed = {
        k.replace("body", "module_list").replace("head", "module"): v
        for k, v in weights().items()
    }
    torch.save(renamed, "a.pth")
    launch("test.py", "listed.py", "a.pth", *WORK)
    assert values(loaded[0]) == {0.5}


def test_a_test_names_the_way_round_and_takes_it(launch, sentence_of, loaded, capfd):
    lacking = {k: v for k, v in weights().items() if not k.startswith("head.")}
    torch.save(dict(state_dict=lacking), "a.pth")
    said = sentence_of("test.py", CONFIG, "a.pth", *WORK)
    assert (
        "missing keys: all of head (--cfg-options check_weights=False goes on" in said
    )
    launch("test.py", CONFIG, "a.pth", *WORK, *ANYWAY)
    assert "check_weights=False: a.pth is a checkpoint of an" in capfd.readouterr().out
    assert 0.5 in values(loaded[0])


@pytest.mark.parametrize("content", [{}, dict(state_dict=None), dict(model=weights())])
def test_the_way_round_is_taken_even_with_nothing_to_load(launch, sentence_of, content):
    torch.save(content, "a.pth")
    assert " weights" in sentence_of("test.py", CONFIG, "a.pth", *WORK)
    launch("test.py", CONFIG, "a.pth", *WORK, *ANYWAY)


def test_the_way_round_is_true_or_false(sentence_of):
    torch.save(weights(), "a.pth")
    option = ("--cfg-options", "check_weights=maybe")
    sentence = "check_weights='maybe' is neither True nor False"
    assert sentence in sentence_of("test.py", CONFIG, "a.pth", *WORK, *option)
    assert sentence in sentence_of("train.py", CONFIG, *WORK, *option)


def test_a_training_starts_from_half_a_checkpoint_with_a_warning(launch, loaded, capfd):
    lacking = {k: v for k, v in weights().items() if not k.startswith("head.")}
    torch.save(lacking, "a.pth")
    launch("train.py", CONFIG, *WORK, "--cfg-options", SHORT, "load_from=a.pth")
    assert "a.pth: only 6 of the model's 8 keys match" in capfd.readouterr().out
    assert Path("work/epoch_1.pth").is_file()


def test_a_training_from_nothing_that_fits_can_be_had_if_asked_for(launch, sentence_of):
    torch.save(weights(prefix="model."), "a.pth")
    options = ("--cfg-options", SHORT, "load_from=a.pth")
    said = sentence_of("train.py", CONFIG, *WORK, *options)
    assert "its keys match behind 'model.': save them without that" in said
    launch("train.py", CONFIG, *WORK, *options, "check_weights=False")
    assert Path("work/epoch_1.pth").is_file()


def test_another_models_training_is_not_resumed(launch, capfd):
    launch("train.py", CONFIG, *WORK, "--cfg-options", SHORT)
    checkpoint = torch.load("work/epoch_1.pth", weights_only=False)
    state = checkpoint["state_dict"]
    del state["body.1.weight"]
    torch.save(checkpoint, "lacking.pth")
    state.update(weights(channels=8))
    torch.save(checkpoint, "wide.pth")
    for name, lack in (
        ("lacking", "7 of the model's 8 keys match; missing keys: body.1.weight ("),
        (
            "wide",
            "1 of the model's 8 keys match; keys of another shape: body.0.bias, ",
        ),
    ):
        with pytest.raises(SystemExit):
            launch("train.py", CONFIG, "--work-dir", name, "--resume", f"{name}.pth")
        sentence = f"error: {name}.pth is a checkpoint of another model: {lack}"
        assert sentence in capfd.readouterr().err
