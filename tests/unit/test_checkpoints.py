# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Loading checkpoints by name and path, and what the shipped one must be."""

from pathlib import Path

import pytest
import torch
from helpers import save_tiny_checkpoint
from safetensors import safe_open

from mu2slam_hf.checkpoints import default_checkpoint, load_checkpoint, load_default

DEFAULT = Path(default_checkpoint())
needs_default = pytest.mark.skipif(
    not (DEFAULT / "config.json").is_file(), reason="the shipped checkpoint is not in this working tree"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def test_model_is_ready_to_use_in_float32(checkpoint):
    model, processor = load_checkpoint(checkpoint)
    assert not model.training
    assert model.dtype == torch.float32
    assert list(processor.languages) == list(model.config.languages)


def test_dtype_can_be_chosen(checkpoint):
    model, _ = load_checkpoint(checkpoint, dtype="bfloat16")
    assert model.dtype == torch.bfloat16


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"not a checkpoint folder \(it has no config.json\)"):
        load_checkpoint(str(tmp_path))
    with pytest.raises(ValueError, match="no/such/folder: not a checkpoint folder"):
        load_checkpoint("./no/such/folder")


def test_a_model_of_another_kind_is_named(tmp_path):
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="expected a model of type mu2slam, got 'bert'"):
        load_checkpoint(str(tmp_path))


def test_the_folder_of_the_shipped_checkpoint_has_its_own_licence():
    text = (DEFAULT / "LICENSE").read_text(encoding="utf-8")
    assert "CC-BY-SA-3.0" in text
    for voice in ("Allison Smith", "June Wallack", "Carlo Flora", "Maxim Topal"):
        assert voice in text


@needs_default
def test_the_shipped_checkpoint_is_small_and_complete():
    weights = DEFAULT / "model.safetensors"
    assert weights.stat().st_size <= 16 * 2**20
    assert (DEFAULT / "README.md").is_file()
    model, processor = load_default()
    assert set(processor.languages) >= {"und", "en", "es", "fr", "it", "ru"}
    assert model.config.vocab_size == len(processor.tokenizer)


@needs_default
def test_the_shipped_weights_are_stored_in_bfloat16_and_run_in_float32():
    with safe_open(DEFAULT / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}
    # The pipeline's dtype is "auto": it must not compute in bfloat16 on processors that are slow at it.
    assert load_default(dtype="auto")[0].dtype == torch.float32


def test_a_checkpoint_of_any_class_is_loaded_by_the_class_that_it_names(tmp_path):
    from helpers import make_tiny_config, make_tiny_processor

    from mu2slam_hf import MSLAMConfig, MSLAMModel, load_any_checkpoint

    processor = make_tiny_processor()
    tiny = make_tiny_config(vocab_size=len(processor.tokenizer))
    config = MSLAMConfig(
        encoder_config=tiny.encoder_config.to_dict(),
        num_speech_layers=1,
        vocab_size=tiny.vocab_size,
        num_speech_tokens=tiny.num_speech_tokens,
        text_token_offset=tiny.text_token_offset,
    )
    MSLAMModel(config).save_pretrained(tmp_path / "mslam")
    processor.save_pretrained(tmp_path / "mslam")
    model, loaded = load_any_checkpoint(str(tmp_path / "mslam"))
    assert type(model) is MSLAMModel and not model.training and loaded.languages == processor.languages
    assert type(load_any_checkpoint()[0]).__name__ == "Mu2SLAMForConditionalGeneration"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(ValueError, match="BertModel is no model of this package"):
        load_any_checkpoint(str(tmp_path / "other"))
