"""How MMCV is compiled: its flags, its C++ standard, and what its kept wheel is for."""

import sysconfig

import pytest
from fake_environment import PYTHON_TAG, FakeEnvironment


@pytest.fixture
def build(tmp_path):
    """Build with such a PyTorch; return what was said, and how pip was called."""
    fakes = FakeEnvironment(tmp_path)

    def run(
        version="2.13.0+cpu", cuda=None, gpu=False, home=None, abi=True, **variables
    ):
        fakes.torch(version, cuda, gpu, home, abi)
        done = fakes.run("build_mmcv.sh", fakes.python, "mmcv==2.1.0", **variables)
        calls = [call for call in fakes.calls() if call["words"][0] == "wheel"]
        return done, calls

    run.fakes = fakes
    return run


def kept(done):
    """Return the folder of the wheel, which names what it was built for."""
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split("/")[-2]


def test_pythons_own_flags_stay_and_debug_information_goes(build):
    _, (call,) = build(CFLAGS="-march=native")
    words = call["flags"].split()
    own = sysconfig.get_config_var("CFLAGS").split()
    assert words == [*own, "-march=native", "-g0"]


@pytest.mark.parametrize(
    ("version", "standard"),
    [("2.1.2", "c++17"), ("2.13.0", "c++17"), ("2.14.1", "c++20"), ("3.0", "c++20")],
)
def test_newer_pytorch_gets_the_standard_that_it_wants(build, version, standard):
    done, (call,) = build(version)
    assert f"'-std={standard}'" in call["source"]
    assert f"torch{version}-" in kept(done)
    assert kept(done).startswith(f"mmcv-2.1.0-{PYTHON_TAG}-")
    assert kept(done).endswith(f"-cpu-{standard}")


def test_a_kept_wheel_is_not_built_again(build):
    first, _ = build()
    second, calls = build()
    assert (second.stdout, calls) == (first.stdout, [])


@pytest.mark.parametrize(
    ("torch", "named"),
    [
        (dict(version="2.13.0+cpu"), "torch2.13.0+cpu-"),
        (dict(version="2.5.1", cuda="12.1"), "torch2.5.1_cuda12.1-"),
        (
            dict(version="2.1.2+cu121", cuda="12.1", abi=False),
            "torch2.1.2+cu121_old-abi-",
        ),
    ],
)
def test_a_kept_wheel_names_the_build_of_its_pytorch(build, torch, named):
    assert f"-{PYTHON_TAG}-{named}" in kept(build(**torch)[0])


def test_operators_for_the_cpu_that_were_asked_for_need_no_excuse(build):
    done, (call,) = build(cuda="13.0", gpu=True, home="/cuda", FORCE_CUDA="0")
    assert call["cuda"] == "0"
    assert "no nvcc" not in done.stderr


def test_without_nvcc_a_gpu_gets_operators_for_the_cpu(build):
    done, (call,) = build(cuda="13.0", gpu=True)
    assert "will run on the CPU only" in done.stderr
    assert (call["cuda"], call["gpus"]) == ("0", "")
    assert "-cpu-" in kept(done)


@pytest.mark.parametrize(
    ("gpu", "wish", "cards"),
    [
        (True, {}, "9.0"),
        (False, dict(FORCE_CUDA="1"), "8.0_8.6_9.0+PTX"),
        (False, dict(FORCE_CUDA="1", TORCH_CUDA_ARCH_LIST="7.5;12.0"), "7.5_12.0"),
    ],
)
def test_cuda_is_built_for_the_cards_that_are_there_or_wanted(build, gpu, wish, cards):
    headers = build.fakes.site / "nvidia" / "cu13" / "include"
    headers.mkdir(parents=True)
    done, (call,) = build(cuda="13.0", gpu=gpu, home="/cuda", **wish)
    assert (call["cuda"], call["path"]) == ("1", str(headers))
    assert f"-cuda-{cards}-" in kept(done)


@pytest.mark.parametrize(("cuda", "home"), [(None, "/cuda"), ("13.0", None)])
def test_cuda_that_cannot_be_built_is_refused(build, cuda, home):
    done, calls = build(cuda=cuda, home=home, FORCE_CUDA="1")
    assert (done.returncode, calls) == (1, [])
    (line,) = done.stderr.splitlines()
    assert "need nvcc and a CUDA build of PyTorch" in line


def test_setuptools_without_pkg_resources_is_named(build):
    build()
    (build.fakes.site / "pkg_resources.py").write_text("raise ImportError")
    done = build.fakes.run("build_mmcv.sh", build.fakes.python, "mmcv==2.0.0")
    assert done.returncode == 1
    assert "pip install 'setuptools<81'" in done.stderr.splitlines()[-1]
