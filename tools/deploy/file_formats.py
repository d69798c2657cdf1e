"""The formats by name: each a module that writes, runs and reads its files."""

from types import ModuleType

import onnx_file
import pt2_file

FORMATS: dict[str, ModuleType] = {"onnx": onnx_file, "pt2": pt2_file}
