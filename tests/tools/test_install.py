"""An active environment keeps what it has; wrong wishes end in one sentence."""

import re
from pathlib import Path

import pytest
from fake_environment import FakeEnvironment

THEIRS = dict(torch="2.1.2", numpy="1.26.4", mmengine="0.10.7", mmcv="2.1.0")


def asked(calls):
    """Return the names that pip was asked to install, flags and paths left out."""
    flags = {"install", "--quiet", "--disable-pip-version-check", "--no-deps"}
    words = [word for call in calls for word in call["words"]]
    return {
        word.split("==")[0]
        for before, word in zip(["", *words], words, strict=False)
        if word not in flags and not word.startswith("-") and before != "--constraint"
    }


def refused(done):
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 1
    return line


@pytest.fixture
def environment(tmp_path):
    return lambda **packages: FakeEnvironment(tmp_path, **packages)


def test_an_environment_with_pytorch_and_mmcv_keeps_all_it_has(environment):
    theirs = environment(**THEIRS, mmdet="3.3.0")
    done = theirs.run("install.sh")
    assert done.returncode == 0, done.stderr
    calls = theirs.calls()
    assert asked(calls) == {"pytest", "pytest-xdist", "."}
    (editable,) = (call for call in calls if "--editable" in call["words"])
    assert "--no-deps" in editable["words"]
    kept = {f"{name}=={number}" for name, number in THEIRS.items()} | {"mmdet==3.3.0"}
    assert all(kept <= set(call["constraints"].splitlines()) for call in calls)
    assert "torch==2.1.2" in done.stdout
    assert "added: nlse_mm pytest-xdist==1 pytest==1\n" in done.stdout


def test_a_second_run_asks_pip_for_nothing(environment):
    theirs = environment(**THEIRS, mmdet="3.3.0")
    theirs.run("install.sh")
    theirs.calls()
    done = theirs.run("install.sh")
    assert (done.returncode, theirs.calls()) == (0, [])
    assert "up to date" in done.stdout


def test_an_environment_without_a_toolbox_gets_the_tested_ones(environment):
    theirs = environment(**THEIRS)
    assert theirs.run("install.sh").returncode == 0
    assert {"mmdet", "mmsegmentation", "ftfy", "regex"} <= asked(theirs.calls())


def test_extras_are_added_once_without_what_they_ask_for(environment):
    theirs = environment(**THEIRS, mmdet="3.3.0", einops="0.7.0")
    assert theirs.run("install.sh", EXTRAS="video").returncode == 0
    calls = theirs.calls()
    (alone,) = (call["words"] for call in calls if "mmaction2==1.2.0" in call["words"])
    assert "--no-deps" in alone
    assert "einops" not in asked(calls)
    assert theirs.run("install.sh", EXTRAS="video").returncode == 0
    assert theirs.calls() == []


def test_both_extras_may_be_given_and_torchvision_comes_with_classification(
    environment,
):
    theirs = environment(**THEIRS, mmdet="3.3.0")
    theirs.write(theirs.site / "torchvision" / "__init__.py", "")
    both = dict(EXTRAS="video classification")
    assert theirs.run("install.sh", **both).returncode == 0
    calls = theirs.calls()
    names = asked(calls)
    assert {"mmaction2", "mmpretrain", "einops", "torchvision"} <= names
    (vision,) = (call for call in calls if "torchvision" in call["words"])
    assert "--no-deps" not in vision["words"]
    assert "torch==2.1.2" in vision["constraints"].splitlines()
    (alone,) = (call["words"] for call in calls if "mmpretrain==1.2.0" in call["words"])
    assert "--no-deps" in alone
    assert alone.count("einops==0.8.2") == 1
    assert theirs.run("install.sh", EXTRAS="classification video").returncode == 0
    assert theirs.calls() == []


@pytest.mark.parametrize("theirs_before", [False, True])
def test_a_torchvision_of_another_pytorch_is_told_of_and_only_ours_goes(
    environment, theirs_before
):
    theirs = environment(**THEIRS, mmdet="3.3.0")
    if theirs_before:
        theirs.add("torchvision", "0.28.0")
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"
    theirs.write(theirs.site / "torchvision" / "__init__.py", broken)
    line = refused(theirs.run("install.sh", EXTRAS="classification"))
    assert "torchvision can't be imported beside the PyTorch of" in line
    assert "torchvision::nms does not exist" in line
    assert "STACK=newest tools/install.sh" in line
    commands = [call["words"] for call in theirs.calls()]
    removed = ["uninstall", "--quiet", "--yes", "torchvision"] in commands
    assert removed != theirs_before


def test_wrong_extras_are_refused(environment):
    theirs = environment(torch="2.13.0", onedl_mmcv="2.3.6")
    many = refused(theirs.run("install.sh", EXTRAS="video sound"))
    assert "is not video, classification or both" in many
    assert "onedl-mmpretrain" in refused(
        theirs.run("install.sh", EXTRAS="classification")
    )
    line = refused(theirs.run("install.sh", EXTRAS="videos"))
    assert "EXTRAS=videos is not video" in line
    assert "OneDL's MMCV" in refused(theirs.run("install.sh", EXTRAS="video"))


def test_the_forks_count_as_openmmlab_and_get_their_own_toolboxes(environment):
    forks = {"onedl_mmengine": "0.10.12", "onedl_mmcv": "2.3.6"}
    theirs = environment(torch="2.13.0", **forks)
    done = theirs.run("install.sh")
    assert done.returncode == 0, done.stderr
    names = asked(theirs.calls())
    assert {"onedl-mmdetection", "onedl-mmsegmentation"} <= names
    assert not names & {"torch", "mmengine", "mmcv", "mmdet", "mmsegmentation"}


def test_pytorch_without_mmcv_stays_and_mmcv_is_built_for_it(environment):
    theirs = environment(torch="2.4.1", mmdet="3.3.0", setuptools="75.0.0", wheel="0.4")
    build = theirs.project / "tools" / "build_mmcv.sh"
    build.write_text('#!/usr/bin/env bash\necho "/built/for/$1/$2.whl"\n')
    done = theirs.run("install.sh")
    assert done.returncode == 0, done.stderr
    calls = theirs.calls()
    names = asked(calls)
    assert f"/built/for/{theirs.python}/mmcv" in names
    assert not names & {"torch", "setuptools", "setuptools<81"}
    assert all("torch==2.4.1" in call["constraints"] for call in calls)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("__init__.py", "raise ImportError('its reason')", "can't be imported"),
        ("_ext.py", "raise ImportError('its reason')", "no compiled operators"),
    ],
)
def test_an_mmcv_that_does_not_work_ends_in_one_sentence(environment, file, text, said):
    theirs = environment(**THEIRS)
    (theirs.site / "mmcv" / file).write_text(text)
    line = refused(theirs.run("install.sh"))
    assert said in line
    assert "its reason" in line
    assert theirs.calls() == []


def test_torch_chooses_nothing_where_pytorch_stays(environment):
    theirs = environment(**THEIRS)
    line = refused(theirs.run("install.sh", TORCH="2.8.0"))
    assert "TORCH=2.8.0" in line
    assert "PyTorch 2.1.2" in line
    assert theirs.calls() == []


def test_a_pytorch_older_than_2_1_is_refused(environment):
    theirs = environment(**THEIRS | dict(torch="2.0.1+cu118"))
    assert "PyTorch 2.1 or newer" in refused(theirs.run("install.sh"))
    assert theirs.calls() == []


def test_a_pip_that_replaces_something_is_told_of(environment):
    theirs = environment(**THEIRS, mmdet="3.3.0")
    metadata = theirs.site / "torch-2.1.2.dist-info" / "METADATA"
    moving = f"Path({str(metadata)!r}).write_text('Name: torch\\nVersion: 3')"
    with open(theirs.site / "pip" / "__main__.py", "a") as pip:
        print(moving, file=pip)
    assert "torch==2.1.2" in refused(theirs.run("install.sh"))


def test_a_stack_that_there_is_not_is_refused_with_those_there_are(environment):
    line = refused(environment().run("install.sh", STACK="latest"))
    assert "STACK=latest is not one of oldest, default, newest and onedl" in line


def test_the_oldest_stack_refuses_a_python_without_its_pytorch(environment, tmp_path):
    python = tmp_path / "python3.12"
    # Runs what Python 3.12 would: all but a range that ends before it.
    python.write_text(
        '#!/usr/bin/env bash\n[[ $1 == --version ]] && echo "Python 3.12.1"\n'
        '[[ $* != *"(3, 11 + 1)"* ]]\n'
    )
    python.chmod(0o755)
    done = environment().run("install.sh", STACK="oldest", PYTHON=str(python))
    line = refused(done)
    assert "Python 3.10 or 3.11 for STACK=oldest" in line
    assert "Python 3.12.1" in line


@pytest.mark.parametrize("name", ["default", "newest"])
def test_a_stack_beats_the_active_environment(environment, name):
    fakes = environment()
    folder = ".venv" if name == "default" else f".venv-{name}"
    own = fakes.project / folder / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.touch(0o755)
    script = fakes.project / "tools" / "which.sh"
    script.write_text(
        f"#!/usr/bin/env bash\n. {script.parent}/environment.sh\ncommand -v python\n"
    )
    script.chmod(0o755)
    assert fakes.run("which.sh", STACK=name).stdout.strip() == str(own)


def test_what_extras_pin_a_stack_pins_alike():
    pins = {}
    for file in Path(__file__).parents[2].glob("requirements*.txt"):
        for name, version in re.findall(r"(?m)^([\w-]+)==([\w.]+)", file.read_text()):
            key = file.stem, name.lower().replace("_", "-")
            pins.setdefault(key, set()).add(version)
    extras = {k: v for k, v in pins.items() if k[0].endswith(("video", "cation"))}
    assert len(extras) > 10
    apart = {
        (file, name, other)
        for (file, name), versions in extras.items()
        for (other, same), others in pins.items()
        if name == same and versions != others
    }
    assert not apart


def test_every_stack_pins_exactly_and_its_mmcv_once():
    files = sorted(Path(__file__).parents[2].glob("requirements*.txt"))
    assert len(files) == 6
    for file in files:
        lines = [
            line
            for line in file.read_text().splitlines()
            if line and not line.startswith("#")
        ]
        assert all(line.count("==") == 1 or ";" in line for line in lines)
        mmcv = sum(line.startswith(("mmcv==", "onedl-mmcv==")) for line in lines)
        # The extras are on top of a stack.
        extras = ("requirements-video.txt", "requirements-classification.txt")
        assert mmcv == (file.name not in extras)


@pytest.mark.parametrize(
    ("packages", "named"),
    [
        (dict(mmcv_full="1.7.2"), "mmcv-full==1.7.2"),
        (dict(mmcv="2.0.1"), "mmcv==2.0.1"),
        (dict(mmcv="2.1.0", mmdet="3.2.0"), "mmdet==3.2.0"),
        (dict(mmcv="2.1.0", mmsegmentation="1.2.1"), "mmsegmentation==1.2.1"),
        (
            dict(mmdet="3.3.0", onedl_mmdetection="3.5.1"),
            "mmdet==3.3.0 onedl-mmdetection==3.5.1",
        ),
    ],
)
def test_packages_that_cannot_work_are_named(environment, packages, named):
    theirs = environment(torch="2.1.2", **packages)
    line = refused(theirs.run("install.sh"))
    assert f" has {named}: " in line
    assert theirs.calls() == []


def test_pip_is_told_no_version_that_it_refuses(environment):
    odd = dict(distro_info="1.1build1", tool="1.0.post1.dev2+ubuntu.1", rc="2!1.0rc1")
    theirs = environment(**THEIRS, mmdet="3.3.0", **odd)
    assert theirs.run("install.sh").returncode == 0
    lines = theirs.calls()[0]["constraints"].splitlines()
    assert {"tool==1.0.post1.dev2+ubuntu.1", "rc==2!1.0rc1"} <= set(lines)
    assert not [line for line in lines if line.startswith("distro-info")]
