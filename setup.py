import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# The configs and tools are the top-level folders that users type; in a wheel they are
# nlse_mm/configs and nlse_mm/tools.
FOLDERS = ("configs", "tools")


def version() -> str:
    text = (ROOT / "nlse_mm" / "__init__.py").read_text()
    return text.split('__version__ = "')[1].split('"')[0]


class WithMim(build_py):
    """Adds nlse_mm/.mim, where MIM and MMEngine look for configs and their index."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib, "nlse_mm")
        for top in FOLDERS:
            shutil.copytree(package / top, package / ".mim" / top, dirs_exist_ok=True)
        runpy.run_path(str(ROOT / "tools" / "model_index.py"))["main"](package / ".mim")


WEIGHTS = ["huggingface_hub", "safetensors"]
TOOLBOXES = {
    "mmdet": ["mmengine>=0.10.7", "mmcv>=2.1", "mmdet>=3.3"],
    "mmseg": [
        "mmengine>=0.10.7",
        "mmcv>=2.1",
        "mmsegmentation>=1.2.2",
        "ftfy",
        "regex",
    ],
}

setup(
    name="nlse_mm",
    version=version(),
    description="Non-local and Squeeze-and-Excitation attention for OpenMMLab",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["nlse_mm*"])
    + [
        f"nlse_mm.{path.relative_to(ROOT).as_posix().replace('/', '.')}"
        for top in FOLDERS
        for path in [ROOT / top, *(ROOT / top).rglob("*")]
        if path.is_dir() and path.name != "__pycache__"
    ],
    package_dir={f"nlse_mm.{top}": top for top in FOLDERS},
    package_data={"": ["*.py", "*.sh", "py.typed"], "nlse_mm.configs": ["*.md"]},
    cmdclass={"build_py": WithMim},
    # No mm* package is a hard requirement: the forks that keep the import names have
    # other distribution names, and pip would overwrite them.
    install_requires=["torch>=2.1"],
    extras_require={
        **TOOLBOXES,
        "weights": WEIGHTS,
        "tests": [
            "pytest",
            "pytest-xdist",
            "mypy",
            "ruff",
            "onnx",
            "onnxscript",
            "onnxruntime",
        ],
    },
)
