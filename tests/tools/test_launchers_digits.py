"""The classifiers of digits, trained a step and evaluated by the launchers."""

from pathlib import Path

import make_digits
import pytest

CONFIGS = Path(__file__).parents[2] / "configs" / "tiny"
NAMES = sorted(p.stem for p in CONFIGS.glob("*_digits*.py"))

pytestmark = pytest.mark.usefixtures("in_mmpretrain")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    pytest.importorskip("sklearn")
    root = tmp_path_factory.mktemp("data") / "digits"
    make_digits.main([str(root)])
    return root


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_is_evaluated(launch, digits, name, capsys):
    options = [
        f"{part}_dataloader.{key}"
        for part in ("train", "val")
        for key in (
            "num_workers=0",
            "persistent_workers=False",
            "dataset.indices=16",
            f"dataset.data_root={digits}",
        )
    ]
    options += ["train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
    config = CONFIGS / f"{name}.py"
    launch("train.py", config, "--work-dir", "work", "--cfg-options", *options)
    assert Path("work/epoch_1.pth").is_file()
    assert "accuracy/top1: " in "".join(p.read_text() for p in Path().rglob("*.log"))
    if name.startswith("sa6"):
        launch("analysis/show_heads.py", config, "work/epoch_1.pth", "--reach", "3")
        assert "epoch_1: heads at distinct positions" in capsys.readouterr().out
        assert Path("heads.png").stat().st_size > 1000
