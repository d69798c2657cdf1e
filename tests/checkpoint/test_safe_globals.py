"""MMEngine's checkpoints load safely, and nothing else comes in with them."""

import codecs
import collections
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

from nlse_mm.checkpoint import allow_mmengine_types
from nlse_mm.checkpoint.loading import restricted_pickle, safe_globals


class Calls:
    """Pickles as a call of ``function`` with ``args``."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


needs_list = pytest.mark.skipif(
    not safe_globals.has_safe_globals(),
    reason="this PyTorch has no torch.serialization.add_safe_globals",
)


@pytest.fixture(
    params=[
        pytest.param("the list of allowed types", marks=needs_list),
        "restricted_pickle",
    ]
)
def load(request):
    if request.param == "restricted_pickle":
        return lambda path: torch.load(
            path, weights_only=False, pickle_module=restricted_pickle
        )
    return lambda path: torch.load(path, weights_only=True)


def test_everything_in_a_real_checkpoint_comes_back(real_checkpoint, load):
    checkpoint = load(real_checkpoint)
    plain = torch.load(real_checkpoint, weights_only=False)
    scalars = checkpoint["message_hub"]["log_scalars"]
    assert set(scalars) == set(plain["message_hub"]["log_scalars"])
    loss = scalars["train/loss"]
    assert type(loss) is HistoryBuffer
    expected = plain["message_hub"]["log_scalars"]["train/loss"].data[0]
    np.testing.assert_array_equal(loss.data[0], expected)
    assert loss.statistics("mean") == expected.mean()
    assert checkpoint["message_hub"]["runtime_info"]["best_score"] == np.float64(2)
    meta = checkpoint["meta"]["dataset_meta"]
    assert meta["palette"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert meta["joints"].nose.id == 0
    anneal = checkpoint["param_schedulers"][0]["anneal_func"]
    assert anneal is OneCycleParamScheduler._annealing_cos
    for key, value in plain["state_dict"].items():
        assert torch.equal(checkpoint["state_dict"][key], value)


def test_without_the_package_the_same_checkpoint_is_refused(real_checkpoint):
    code = f"""
import mmengine.runner, torch
torch.load({str(real_checkpoint)!r}, weights_only=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Weights only load failed" in done.stderr


@pytest.mark.parametrize("core", ["core", "_core"])
def test_arrays_of_either_numpy_load(tmp_path, load, core):
    path = tmp_path / "array.pth"
    torch.save(dict(a=np.arange(3.0), b=np.float32(0.5)), path, pickle_protocol=2)
    ours = np.zeros(0).__reduce__()[0].__module__
    there = f"numpy.{core}.multiarray"
    repack(path, lambda _, part: part.replace(ours.encode(), there.encode()))
    assert there.encode() in path.read_bytes()
    loaded = load(path)
    assert loaded["a"].tolist() == [0, 1, 2]
    assert loaded["b"] == 0.5


def test_plain_data_loads_where_pytorch_allows_none_of_it(tmp_path, load, monkeypatch):
    data = [
        np.arange(3.0).tobytes(),
        bytearray(b"a"),
        {1, 2},
        collections.Counter("aab"),
        torch.device("cpu"),
        torch.uint8,
    ]
    later = {
        "_codecs.encode",
        "builtins.bytearray",
        "builtins.set",
        "collections.Counter",
        "torch.device",
        "torch.uint8",
    }
    early = restricted_pickle._get_allowed_globals()
    early = {name: early[name] for name in early.keys() - later}
    monkeypatch.setattr(restricted_pickle, "_get_allowed_globals", lambda: early)
    torch.save(data, tmp_path / "a.pth", pickle_protocol=2)
    assert load(tmp_path / "a.pth") == data


def test_where_pytorch_has_no_list_text_is_encoded_as_latin1_alone(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(Calls(codecs.encode, "a", "unicode_escape"), path)
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL _codecs\.encode"):
        torch.load(path, weights_only=False, pickle_module=restricted_pickle)


@pytest.mark.parametrize(
    "attack",
    [
        lambda mark: Calls(os.system, f"touch {mark}"),
        lambda mark: Calls(eval, f"open({mark!r}, 'w')"),
        lambda mark: Calls(getattr, HistoryBuffer, "__init__"),
        lambda mark: Calls(getattr, HistoryBuffer, "register_statistics"),
        lambda mark: Calls(getattr, HistoryBuffer.min, "__globals__"),
        lambda mark: Calls(getattr, OneCycleParamScheduler, "__init__"),
        lambda mark: subprocess.Popen,
        lambda mark: np.array([print], dtype=object),
    ],
)
def test_nothing_else_is_loaded(tmp_path, load, attack):
    mark = tmp_path / "executed"
    path = tmp_path / "evil.pth"
    torch.save(dict(state_dict=dict(w=attack(str(mark)))), path)
    with pytest.raises((pickle.UnpicklingError, TypeError, AttributeError)):
        load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cbuiltins\ngetattr\n(cposix\n__dict__\nX\x06\0\0\0systemtR.",
        b"cbuiltins\ngetattr\n(cbuiltins\nset\nX\x07\0\0\0__mro__tR.",
        b"cbuiltins\ngetattr\n(cbuiltins\ngetattr\nX\x0b\0\0\0__globals__tR.",
        b"cbuiltins\n__import__\n(X\x02\0\0\0ostR.",
        b"cmmengine.logging.history_buffer\nHistoryBuffer.min\n.",
    ],
)
def test_no_hand_made_pickle_gets_further(tmp_path, load, pickled):
    path = tmp_path / "evil.pth"
    torch.save({}, path)
    repack(path, lambda name, part: pickled if name.endswith("/data.pkl") else part)
    with pytest.raises(pickle.UnpicklingError, match="GLOBAL"):
        load(path)


def repack(path, change):
    """Rewrite each part of a zip file, checksums and all."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, part in parts.items():
            new.writestr(name, change(name, part))


@needs_list
def test_allowing_twice_changes_nothing():
    before = set(torch.serialization.get_safe_globals())
    allow_mmengine_types()
    assert set(torch.serialization.get_safe_globals()) == before


@needs_list
def test_getattr_and_the_modules_of_numpy_are_not_themselves_allowed():
    allowed = torch.serialization.get_safe_globals()
    assert getattr not in allowed
    assert type(np.dtype("O")) not in allowed
    assert type(np.dtype([("a", int)])) not in allowed
    assert getattr not in safe_globals.ALLOWED.values()
