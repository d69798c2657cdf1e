"""timm's weights by name and from .safetensors files, with the packages or without."""

import json
import struct
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from nlse_mm.checkpoint import load_from_local, load_state_dict_from
from nlse_mm.errors import CheckpointError

NAME = "timm://seresnet50.a1_in1k"
FILE = "https://huggingface.co/timm/seresnet50.a1_in1k/resolve/main/model.safetensors"
SENET = (
    "https://github.com/rwightman/pytorch-image-models/releases/download/"
    "v0.1-weights/legacy_senet154-e9eb9fe6.pth"
)
WEIGHTS = {
    "conv1.weight": torch.arange(6.0).reshape(2, 3),
    "layer1.0.se.fc1.bias": torch.tensor([1.5]),
    "fc.bias": torch.zeros(1),
}


def load(name):
    return CheckpointLoader.load_checkpoint(name, "cpu", logger="silent")


def refusal(name, *words):
    with pytest.raises(CheckpointError) as caught:
        load(name)
    message = str(caught.value)
    assert "\n" not in message
    for word in (name, *words):
        assert word in message


def write_safetensors(path, weights):
    """The format by its definition: a length, a JSON header, the bytes."""
    header, data = {}, b""
    for key, value in weights.items():
        piece = value.numpy().tobytes()
        offsets = [len(data), len(data) + len(piece)]
        header[key] = dict(dtype="F32", shape=list(value.shape), data_offsets=offsets)
        data += piece
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture
def safetensors(monkeypatch):
    """``safetensors.torch`` or, where that isn't installed, what we need of it."""
    try:
        import safetensors.torch  # noqa: F401
    except ImportError:

        def load_file(path, device):
            with open(path, "rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header, data = json.loads(file.read(length)), file.read()
            weights = {}
            for key, entry in header.items():
                piece = bytearray(data[slice(*entry["data_offsets"])])
                flat = torch.frombuffer(piece, dtype=torch.float32)
                weights[key] = flat.reshape(entry["shape"]).to(device)
            return weights

        stand_in = SimpleNamespace(load_file=load_file)
        package = SimpleNamespace(torch=stand_in)
        monkeypatch.setitem(sys.modules, "safetensors", package)
        monkeypatch.setitem(sys.modules, "safetensors.torch", stand_in)


@pytest.fixture
def hugging_face(monkeypatch, tmp_path):
    """A hub of one model; the requests that reached it."""
    asked = []
    write_safetensors(tmp_path / "served.safetensors", WEIGHTS)

    def hf_hub_download(repo_id, filename):
        asked.append((repo_id, filename))
        if repo_id != "timm/seresnet50.a1_in1k":
            raise OSError("404 Client Error.\n\nRepository Not Found")
        return str(tmp_path / "served.safetensors")

    package = SimpleNamespace(hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", package)
    return asked


def test_a_name_is_fetched_from_the_hub(hub, safetensors, hugging_face):
    loaded = load(NAME)
    assert hugging_face == [("timm/seresnet50.a1_in1k", "model.safetensors")]
    assert loaded.keys() == WEIGHTS.keys()
    for key, value in WEIGHTS.items():
        assert torch.equal(loaded[key], value)


def test_what_is_fetched_is_converted(hub, safetensors, hugging_face):
    weights = load_state_dict_from(NAME)
    assert list(weights) == ["conv1.weight", "layer1.0.se_layer.conv1.conv.bias"]
    assert weights["layer1.0.se_layer.conv1.conv.bias"] == 1.5


def test_without_a_network_the_sentence_says_what_to_fetch(
    hub, hugging_face, monkeypatch
):
    class NoNetworkError(Exception):
        pass

    def fail(*_):
        raise NoNetworkError("Cannot reach the hub.\nTry again")

    monkeypatch.setattr(sys.modules["huggingface_hub"], "hf_hub_download", fail)
    by_hand = str(hub / "seresnet50.a1_in1k.safetensors")
    key = "model.backbone.init_cfg.checkpoint"
    refusal(NAME, FILE, by_hand, key, "(Cannot reach the hub)")


def test_without_the_package_as_well(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refusal(NAME, FILE, "pip install huggingface_hub safetensors")


def test_a_file_put_where_the_sentence_says_is_used(hub, safetensors, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    hub.mkdir(parents=True)
    write_safetensors(hub / "seresnet50.a1_in1k.safetensors", WEIGHTS)
    assert load(NAME).keys() == WEIGHTS.keys()


def test_an_unknown_name_is_said_to_be_missing(hub, hugging_face):
    refusal("timm://seresnet5.a1_in1k", "404 Client Error")


def test_a_name_without_a_tag_is_met_with_one_that_has_one(hub, hugging_face):
    refusal("timm://seresnet50", "lacks the tag", NAME)
    assert hugging_face == []


def test_the_authors_weights_come_from_where_timm_has_them(hub, web, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    folder, asked = web
    torch.save({"layer0.conv1.weight": torch.ones(1)}, folder / SENET.split("/")[-1])
    assert load("timm://legacy_senet154.in1k")["layer0.conv1.weight"] == 1
    assert asked == [SENET]


def test_without_a_network_they_are_named_too(hub, no_network):
    with pytest.raises(CheckpointError) as caught:
        load("timm://legacy_senet154.in1k")
    message = str(caught.value)
    assert f"could not download {SENET}" in message
    assert str(hub / "legacy_senet154-e9eb9fe6.pth") in message
    assert "model.backbone.init_cfg.checkpoint" in message


def test_a_misspelt_legacy_name_is_met_with_near_ones(hub, no_network):
    refusal("timm://legacy_senet15.in1k", "legacy_senet154.in1k")


def test_backbones_that_blur_are_refused(hub, hugging_face):
    refusal("timm://seresnextaa101d_32x8d.ah_in1k", "blurs")
    assert hugging_face == []


def test_a_safetensors_file_without_the_package_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    path = tmp_path / "a.safetensors"
    write_safetensors(path, WEIGHTS)
    refusal(str(path), "pip install safetensors")


def test_a_damaged_safetensors_file_is_a_sentence(tmp_path):
    pytest.importorskip("safetensors.torch", reason="safetensors isn't installed")
    path = tmp_path / "a.safetensors"
    write_safetensors(path, WEIGHTS)
    path.write_bytes(path.read_bytes()[:-3])
    refusal(str(path), "is damaged or no .safetensors file")


def test_a_missing_safetensors_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.safetensors does not exist"):
        load_from_local(str(tmp_path / "a.safetensors"))
