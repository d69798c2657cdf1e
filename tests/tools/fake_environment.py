"""An environment of fakes, for the tests of the install scripts: no network, no build.

It is a real ``venv`` whose packages are folders of metadata, and whose pip writes down
what it is asked for and adds the metadata of that.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = ("install.sh", "build_mmcv.sh", "environment.sh")
PIP = """
import io, json, os, re, sys, tarfile
from pathlib import Path

words = sys.argv[1:]
site = Path(__file__).parents[1]
said = dict(flags="CFLAGS", path="CPATH", cuda="FORCE_CUDA")
said["gpus"] = "CUDA_VISIBLE_DEVICES"
call = dict(words=words, **{key: os.environ.get(name) for key, name in said.items()})
if "--constraint" in words:
    call["constraints"] = Path(words[words.index("--constraint") + 1]).read_text()
if words[0] == "download":
    folder = Path(words[words.index("--dest") + 1])
    text = b"extra_compile_args['cxx'] = ['-std=c++17']"
    with tarfile.open(folder / "mmcv-2.1.0.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("mmcv-2.1.0/setup.py")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
if words[0] == "wheel":
    call["source"] = (Path(words[-1]) / "setup.py").read_text()
    folder = Path(words[words.index("--wheel-dir") + 1])
    (folder / "mmcv-2.1.0-cp3-linux.whl").touch()
if words[0] == "install":
    for name, _, version in (re.split("(==|<)", w + "==1") [:3] for w in words[1:]):
        if re.fullmatch("[a-z0-9-]+", name) and not name.startswith("-"):
            info = site / f"{name}-{version}.dist-info"
            info.mkdir(exist_ok=True)
            (info / "METADATA").write_text(f"Name: {name}\\nVersion: {version}\\n")
    if "--editable" in words:
        (site / "nlse_mm.pth").write_text(os.getcwd())
with open(os.environ["PIP_CALLS"], "a") as calls:
    print(json.dumps(call), file=calls)
"""
TORCH = """
__version__ = "{version}"
class version: cuda = {cuda!r}
compiled_with_cxx11_abi = lambda: {abi}
class cuda:
    is_available = staticmethod(lambda: {gpu})
    device_count = staticmethod(lambda: 1)
    get_device_capability = staticmethod(lambda gpu: (9, 0))
"""


class FakeEnvironment:
    """A copy of the scripts in ``project`` and an environment with a few packages."""

    def __init__(self, folder: Path, **packages: str):
        self.project = folder / "project"
        self.prefix = folder / "env"
        self.calls_file = folder / "calls"
        (self.project / "tools").mkdir(parents=True)
        for script in SCRIPTS:
            shutil.copy(ROOT / "tools" / script, self.project / "tools")
        for file in (*ROOT.glob("requirements*.txt"), ROOT / "setup.py"):
            shutil.copy(file, self.project)
        self.write(self.project / "nlse_mm" / "__init__.py", "")
        venv.create(self.prefix)
        (self.site,) = self.prefix.glob("lib/python*/site-packages")
        self.write(self.site / "pip" / "__main__.py", PIP)
        for name, number in packages.items():
            self.add(name.replace("_", "-"), number)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def add(self, name: str, number: str) -> None:
        """Add a distribution, and the package that it is imported by."""
        metadata = f"Name: {name}\nVersion: {number}\n"
        self.write(self.site / f"{name}-{number}.dist-info" / "METADATA", metadata)
        package = name.removeprefix("onedl-")
        self.write(self.site / package / "__init__.py", "")
        if package == "mmcv":
            self.write(self.site / "mmcv" / "_ext.py", "")

    def torch(
        self, version: str, cuda: str | None, gpu: bool, home: str | None, abi=True
    ):
        """Let ``import torch`` find this PyTorch and this toolkit of CUDA."""
        text = TORCH.format(version=version, cuda=cuda, gpu=gpu, abi=abi)
        self.write(self.site / "torch" / "__init__.py", text)
        utils = self.site / "torch" / "utils"
        self.write(utils / "cpp_extension.py", f"CUDA_HOME = {home!r}")
        self.write(self.site / "pkg_resources.py", "")

    def run(self, script, *arguments, active=True, **variables):
        keep = {
            key: value
            for key, value in os.environ.items()
            if key not in {"STACK", "TORCH", "PYTHON", "PYTHONPATH", "CONDA_PREFIX"}
            and not key.endswith("FLAGS")
            and key not in {"FORCE_CUDA", "TORCH_CUDA_ARCH_LIST", "CPATH", "EXTRAS"}
        }
        keep |= dict(PIP_CALLS=str(self.calls_file), XDG_CACHE_HOME=str(self.cache))
        keep |= dict(VIRTUAL_ENV=str(self.prefix) if active else "")
        path = f"{self.prefix}/bin:{os.environ['PATH']}"
        return subprocess.run(
            [self.project / "tools" / script, *map(str, arguments)],
            env=keep | dict(PATH=path) | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def cache(self) -> Path:
        return self.project.parent / "cache"

    @property
    def python(self) -> str:
        return str(self.prefix / "bin" / "python")

    def calls(self) -> list[dict]:
        """Return what pip was asked for, in order, and forget it."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        return [json.loads(line) for line in lines]


PYTHON_TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
