# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Loading checkpoints by name and path, and what the shipped one must be."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from helpers import save_tiny_checkpoint
from peft import LoraConfig, get_peft_model
from safetensors import safe_open

from mu2slam_hf import checkpoints
from mu2slam_hf.checkpoints import default_checkpoint, load_any_checkpoint, load_checkpoint, load_default
from mu2slam_hf.checkpoints.devices import check_device
from mu2slam_hf.checkpoints.folders import is_path, load_processor, read_card_summary

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


def test_warnings_of_torchao_are_not_shown_while_a_checkpoint_is_loaded(checkpoint, monkeypatch, caplog):
    """transformers imports it where it is installed, for models that are not quantised too."""
    names = ("torchao", "torch.utils._pytree")
    for name in names:  # the command line, which other tests run, sets it
        monkeypatch.setattr(logging.getLogger(name), "level", logging.WARNING)
        logging.getLogger(name).manager._clear_cache()

    def warn(message):
        for name in names:
            logging.getLogger(name).warning(message)

    def load(folder):
        warn("Failed to load _C_mxfp8.so")
        return load_processor(folder)

    monkeypatch.setattr(checkpoints, "load_processor", load)
    load_checkpoint(checkpoint)
    load_any_checkpoint(checkpoint)
    warn("later")
    assert [record.getMessage() for record in caplog.records if record.name in names] == ["later", "later"]


def test_dtype_can_be_chosen(checkpoint):
    model, _ = load_checkpoint(checkpoint, dtype="bfloat16")
    assert model.dtype == torch.bfloat16


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"not a checkpoint folder \(no config.json\)"):
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
    assert "CC-BY-SA-4.0" in text
    for voice in ("Allison Smith", "June Wallack", "Carlo Flora", "Maxim Topal"):
        assert voice in text


@needs_default
def test_the_shipped_checkpoint_is_small_and_complete():
    weights = DEFAULT / "model.safetensors"
    assert weights.stat().st_size <= 32 * 10**6
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

    from mu2slam_hf import MSLAMConfig, MSLAMModel

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
    with pytest.raises(ValueError, match="BertModel is not a model of this package"):
        load_any_checkpoint(str(tmp_path / "other"))


def test_a_path_that_is_not_there_is_no_name_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert all(map(is_path, ("runs/mine", "some/where/final", "./final", "runs")))
    assert not is_path("facebook/w2v-bert-2.0") and not is_path("gpt2")
    for load in (load_checkpoint, load_any_checkpoint):
        with pytest.raises(ValueError, match=r"runs/mine: not a checkpoint folder \(no such folder\); expected"):
            load("runs/mine")


@pytest.mark.parametrize("load", [load_checkpoint, load_any_checkpoint])
@pytest.mark.parametrize("with_processor", [True, False])
def test_a_folder_of_adapters_is_loaded_with_its_model(load, with_processor, checkpoint, tmp_path):
    model, processor = load_checkpoint(checkpoint)
    torch.manual_seed(0)
    adapted = get_peft_model(
        model, LoraConfig(r=2, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
    )
    adapted.save_pretrained(tmp_path)
    if with_processor:
        processor.save_pretrained(tmp_path)
    loaded, its_processor = load(str(tmp_path))
    assert its_processor.languages == processor.languages and not loaded.training
    original = load_checkpoint(checkpoint)[0]
    ids = torch.tensor([[5, 6, 7, 8]])
    outputs = [one(input_ids=ids, labels=ids).logits for one in (adapted, loaded, original)]
    torch.testing.assert_close(outputs[1], outputs[0])
    assert not torch.allclose(outputs[1], outputs[2], atol=1e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{}", "expected the model of the adapters in base_model_name_or_path, got None"),
        ('{"base_model_name_or_path": "./gone"}', r"the model of these adapters cannot be loaded: .*no such folder"),
    ],
)
def test_adapters_without_their_model_are_named(config, message, tmp_path):
    (tmp_path / "adapter_config.json").write_text(config)
    for load in (load_checkpoint, load_any_checkpoint):
        with pytest.raises(ValueError, match=message):
            load(str(tmp_path))


def test_a_model_without_its_processor_or_without_a_tokenizer_is_named(checkpoint, tmp_path):
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(checkpoint) / name, tmp_path)
    for load in (load_checkpoint, load_any_checkpoint):
        with pytest.raises(ValueError, match=r"no processor found \(no processor_config.json\)"):
            load(str(tmp_path))
    shutil.copy(Path(checkpoint) / "processor_config.json", tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="the processor has no tokenizer"):
        load_checkpoint(str(tmp_path))


def test_weights_that_are_missing_are_not_drawn_at_random(checkpoint, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(checkpoint, tmp_path / "cut")
    weights = load_file(Path(checkpoint) / "model.safetensors")
    del weights["ctc_head.bias"]
    save_file(weights, tmp_path / "cut" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="has no weights for ctc_head.bias of Mu2SLAMForConditionalGeneration"):
        load_any_checkpoint(str(tmp_path / "cut"))


def test_a_device_that_is_not_there_is_named(checkpoint):
    assert check_device("cpu") == "cpu"
    with pytest.raises(ValueError, match="device 'gpu' is not available.*Expected cpu, or cuda"):
        load_checkpoint(checkpoint, device="gpu")
    # More GPUs than any machine has; without a GPU none of them is there either.
    with pytest.raises(ValueError, match="device 'cuda:99' is not available"):
        load_any_checkpoint(checkpoint, device="cuda:99")


def test_a_card_says_what_a_model_is_and_where_it_ends(tmp_path):
    assert read_card_summary(tmp_path) == read_card_summary("organisation/name") == ""
    card = (
        "---\nlicense: mit\n---\n\n# Name\n\nIt hears.\n\n- Languages: en\n\n## Limits\n\n- One voice.\n- No more.\n"
    )
    (tmp_path / "README.md").write_text(card)
    assert read_card_summary(tmp_path) == "It hears. One voice."
    (tmp_path / "README.md").write_text("# Name\n\nIt hears.\n")
    assert read_card_summary(tmp_path) == "It hears."
