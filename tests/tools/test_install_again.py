"""What a pinned installation keeps of the earlier ones, interrupted ones among them."""

import shutil

import pytest
from fake_environment import FakeEnvironment

BUILD = """#!/usr/bin/env bash
cards=${TORCH_CUDA_ARCH_LIST:-9.0}
device=cpu
[[ ${FORCE_CUDA:-0} != 1 ]] || device=cuda-${cards//[; ]/_}
echo "/built/$2-torch-x86_64-$device-c++17/mmcv.whl"
"""


class Stack(FakeEnvironment):
    """A new environment, and what each installation in it asks pip for."""

    def __init__(self, folder, name=None):
        super().__init__(folder)
        self.words = dict(STACK=name) if name else {}
        if name:
            stack = self.project / f".venv-{name}"
            shutil.copytree(self.prefix, stack, symlinks=True)
            self.prefix = stack
            (self.site,) = stack.glob("lib/python*/site-packages")
        (self.project / "tools" / "build_mmcv.sh").write_text(BUILD)
        for package in ("mmcv", "mmdet", "mmseg", "mmengine", "torch"):
            self.write(self.site / package / "__init__.py", "")
        self.write(self.site / "mmcv" / "_ext.py", "")

    def install(self, **variables):
        done = self.run("install.sh", **self.words | variables)
        assert done.returncode == 0, done.stderr
        return self.calls()

    def devices(self, **variables):
        """Install; return what MMCV was built for, None if all was up to date."""
        paths = [word for call in self.install(**variables) for word in call["words"]]
        wheels = [path for path in paths if path.startswith("/built/")]
        return wheels[0].split("x86_64-")[1].split("-c++")[0] if wheels else None


@pytest.fixture
def stack(tmp_path):
    return Stack(tmp_path)


def test_a_new_stack_gets_its_pins_and_mmaction_without_opencv_contrib(tmp_path):
    newest = Stack(tmp_path, "newest")
    calls = newest.install()
    assert {"torch", "torchvision"} <= set(calls[0]["words"])
    assert all("torch==2.14.1\n" in call["constraints"] for call in calls)
    (alone,) = (call["words"] for call in calls if "mmaction2==1.2.0" in call["words"])
    assert "--no-deps" in alone
    (mmcv,) = (call["words"] for call in calls if "/built/" in str(call["words"]))
    assert "--force-reinstall" in mmcv  # it may be there, built for another PyTorch
    assert newest.install() == []


@pytest.mark.parametrize("name", [None, "newest"])
def test_extras_come_without_opencv_contrib_and_stay(tmp_path, name):
    stack = Stack(tmp_path, name)
    stack.install()
    calls = stack.install(EXTRAS="video")
    (alone,) = (call["words"] for call in calls if "mmaction2==1.2.0" in call["words"])
    assert "--no-deps" in alone
    assert "einops==0.8.2" in alone
    assert stack.install() == []
    with open(stack.project / "setup.py", "a") as changed:
        changed.write("#")
    assert any("mmaction2==1.2.0" in call["words"] for call in stack.install())


def test_operators_for_cuda_stay_until_others_are_asked_for(stack):
    assert stack.devices() == "cpu"
    assert stack.devices() is None
    assert stack.devices(FORCE_CUDA="1") == "cuda-9.0"
    assert stack.devices() is None
    assert stack.devices(TORCH_CUDA_ARCH_LIST="8.0;8.6") == "cuda-8.0_8.6"
    with open(stack.project / "setup.py", "a") as changed:
        changed.write("#")
    assert stack.devices() == "cuda-8.0_8.6"
    assert stack.devices(FORCE_CUDA="0") == "cpu"
    assert stack.devices() is None


@pytest.mark.parametrize(("home", "again"), [("/cuda", "cuda-9.0"), (None, None)])
def test_a_gpu_that_has_come_gets_its_operators(stack, home, again):
    assert stack.devices() == "cpu"
    smi = stack.prefix / "bin" / "nvidia-smi"
    smi.touch(0o755)
    stack.torch("2.13.0", "13.0", True, home)
    assert stack.devices() == again


def test_the_pytorch_that_was_wished_for_stays_until_another_is(stack):
    for variables in (dict(TORCH="2.8.0"), {}):
        with open(stack.project / "setup.py", "a") as changed:
            changed.write("#")
        calls = stack.install(**variables)
        assert "torch==2.8.0\n" in calls[0]["constraints"]
    assert stack.install() == []
    assert "torch==2.13.0\n" in stack.install(TORCH="")[0]["constraints"]


def test_an_interrupted_installation_is_not_taken_for_the_users_own(stack):
    build = stack.project / "tools" / "build_mmcv.sh"
    build.write_text("#!/usr/bin/env bash\nexit 1\n")
    wish = dict(TORCH="2.8.0", FORCE_CUDA="1")
    assert stack.run("install.sh", **wish).returncode == 1
    assert "torch" in stack.calls()[0]["words"]
    assert list(stack.site.glob("torch-*.dist-info"))
    build.write_text(BUILD)
    done = stack.run("install.sh")
    assert done.returncode == 0, done.stderr
    assert "found in" not in done.stdout
    calls = stack.calls()
    assert "torch==2.8.0\n" in calls[0]["constraints"]
    assert "-cuda-9.0-" in str(calls)
    assert stack.install() == []


def test_an_environment_of_the_users_own_name_is_one_like_any_other(tmp_path):
    fakes = FakeEnvironment(tmp_path, torch="2.4.1", mmcv="2.1.0", mmdet="3.3.0")
    mine = str(fakes.project / ".venv-mine")
    done = fakes.run("install.sh", VIRTUAL_ENV=mine)
    assert done.returncode == 0, done.stderr
    assert "where it stays: " in done.stdout


def test_torchvision_comes_with_the_pytorch_that_it_has_to_fit_and_stays(stack):
    stack.write(stack.site / "torchvision" / "__init__.py", "")
    for wish in (dict(EXTRAS="classification"), {}):
        with open(stack.project / "setup.py", "a") as changed:
            changed.write("#")
        calls = stack.install(**wish)
        assert {"torch", "torchvision"} <= set(calls[0]["words"])
        assert any("mmpretrain==1.2.0" in call["words"] for call in calls)
