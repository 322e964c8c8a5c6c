"""Damaged checkpoints are errors that name the file, and weights that are not numbers are errors."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mu2slam_hf import load_default
from mu2slam_hf.checkpoints import default_checkpoint, load_any_checkpoint
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.inference.windows import Window

WEIGHTS = "model.safetensors"
JSON_FILES = ["config.json", "generation_config.json", "processor_config.json", "tokenizer.json"]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(default_checkpoint(), tmp_path / "model")


@pytest.mark.parametrize("content", [b"", b'{"a', b"[1]", b"{}", b"[" * 100_000, b"\xff\xfe", b"<html>"])
@pytest.mark.parametrize("name", JSON_FILES)
def test_a_damaged_configuration_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    if (name, content) == ("generation_config.json", b"{}"):
        load_any_checkpoint(str(folder))  # the defaults of transformers, which a model may have
        return
    with pytest.raises(ValueError, match=str(folder)):
        load_any_checkpoint(str(folder))


def test_settings_of_generation_are_required_and_finite(folder):
    file = folder / "generation_config.json"
    text = file.read_text()
    file.write_text(text.replace('"bias": ', '"bias": NaN, "other": '))
    assert file.read_text() != text
    with pytest.raises(ValueError, match="NaN or infinite"):
        load_any_checkpoint(str(folder))
    file.unlink()
    with pytest.raises(ValueError, match=r"has no generation_config.json"):
        load_any_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "git lfs pull"),
        (b"<!doctype html><html></html>", "it is a web page"),
    ],
)
def test_weights_that_are_no_weights_are_named(folder, content, reason):
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match=f"{WEIGHTS}.*{reason}"):
        load_any_checkpoint(str(folder))


def test_truncated_weights_and_weights_of_another_shape_are_errors(folder):
    weights = load_file(folder / WEIGHTS)
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:-1000])
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_any_checkpoint(str(folder))
    name = next(name for name, weight in weights.items() if weight.dim() == 2)
    save_file(weights | {name: weights[name][:-1].contiguous()}, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(ValueError, match=f"{folder}: the checkpoint cannot be loaded"):
        load_any_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("tokenizer.json", {"version": None}),  # tokenizers: `Exception`
        ("config.json", {"encoder_config": {"hidden_act": []}}),
        ("config.json", {"languages": 3}),
        ("processor_config.json", {"feature_extractor": "text"}),
    ],
)
def test_values_of_another_type_are_errors_that_name_the_folder(folder, name, change):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | change))
    with pytest.raises(ValueError, match=str(folder)):
        load_any_checkpoint(str(folder))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(folder, value):
    weights = load_file(folder / WEIGHTS)
    name = next(name for name in weights if "decoder.layers" in name)
    weights[name].view(-1)[0] = value
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(ValueError, match=f"{name} has values that are NaN or infinite"):
        load_any_checkpoint(str(folder))


def test_states_that_are_not_finite_are_no_silence():
    model, processor = load_default()
    torch.nn.init.constant_(model.get_encoder().subsampling.linear.bias, float("inf"))
    wave = torch.sin(torch.arange(16000) * 0.3).numpy()
    window = Window(start_sample=0, core_start=0, core_stop=16000, waveform=wave)
    recognizer = WindowRecognizer(model, processor)
    recognizer.no_speech = type(recognizer.no_speech)()
    with pytest.raises(ValueError, match="the encoder gives NaN or infinite values"):
        recognizer.encode([window])
