"""The formats by name: each a module that records, writes, runs and reads."""

from types import ModuleType

import onnx_file
import pt2_file

FORMATS: dict[str, ModuleType] = {"onnx": onnx_file, "pt2": pt2_file}
