# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Models with linear layers in 8 bits: loaded, used, saved and loaded again as any other."""

import json
import os
import sys
import warnings

import numpy as np
import pytest
import soundfile
import torch
from helpers import make_tiny_pair, run_python, save_tiny_checkpoint
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from tiny_models import speech_batch, tiny_config
from torch import nn
from transformers import AutoModelForSpeechSeq2Seq, BitsAndBytesConfig, pipeline

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration, load_any_checkpoint
from mu2slam_hf.checkpoints import load_checkpoint
from mu2slam_hf.checkpoints.quantization import QUANTIZATIONS, build_quantization_config, check_quantization
from mu2slam_hf.cli import main
from mu2slam_hf.evaluation.tasks.corpora import describe_evaluated_model

HEADS = {"lm_head", "ctc_head", "language_head"}


@pytest.fixture(scope="module")
def torchao():
    return pytest.importorskip("torchao", reason="extra: quantization")


@pytest.fixture(scope="module")
def bitsandbytes():
    return pytest.importorskip("bitsandbytes", reason="extra: quantization")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def wider_checkpoint(tmp_path_factory):
    """On a CPU, bitsandbytes multiplies 4 bits only where numbers of inputs are multiples of 64."""
    model, processor = make_tiny_pair()
    values, sizes = model.config.to_dict(), {"hidden_size": 64, "intermediate_size": 128}
    values |= {name: values[name] | sizes for name in ("encoder_config", "decoder_config")}
    values["encoder_config"]["subsampling_conv_channels"] = [4, 16]
    folder = tmp_path_factory.mktemp("wider")
    torch.manual_seed(0)
    Mu2SLAMForConditionalGeneration(Mu2SLAMConfig(**values)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def recording(tmp_path):
    file = tmp_path / "a.wav"
    soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    return str(file)


def write(model, **options) -> torch.Tensor:
    batch = speech_batch([80, 60])
    return model.generate(**batch, source_lang="en", max_new_tokens=6, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_transformers_loads_generates_and_saves(torchao, checkpoint, tmp_path, name, dtype):
    options = {"quantization_config": build_quantization_config(name), "dtype": dtype}
    model = AutoModelForSpeechSeq2Seq.from_pretrained(checkpoint, **options)
    linear = {key: type(one.weight) for key, one in model.named_modules() if isinstance(one, nn.Linear)}
    assert {key for key, kind in linear.items() if kind is nn.Parameter} == HEADS
    assert len(linear) > 20 and model.dtype == dtype
    ids = write(model)
    assert torch.equal(write(model, num_beams=2, ctc_weight=0.3), write(model, num_beams=2, ctc_weight=0.3))
    model.save_pretrained(tmp_path)
    again = AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path)
    assert again.dtype == dtype and torch.equal(write(again), ids)
    description = describe_evaluated_model(again, "again")
    assert description == describe_evaluated_model(model, "again")
    assert "Int8" in json.dumps(description["quantization"])
    assert description["weights_sha256"] != describe_evaluated_model(make_tiny_pair()[0], "again")["weights_sha256"]


def test_states_are_near_those_of_float32(torchao, checkpoint):
    batch = speech_batch([80, 60])
    expected = load_checkpoint(checkpoint)[0].get_encoder()(**batch).last_hidden_state
    for name in QUANTIZATIONS:
        with torch.no_grad():
            states = load_checkpoint(checkpoint, quantization=name)[0].get_encoder()(**batch).last_hidden_state
        assert 0 < (states - expected).pow(2).mean().sqrt() < 0.05  # the last normalisation gives them a scale of 1


def test_pipelines_and_loading_by_name(torchao, checkpoint, recording, tmp_path):
    for load in (load_checkpoint, load_any_checkpoint):
        model, processor = load(checkpoint, quantization="int8")
        assert type(model.model.decoder.layers[0].up_proj.weight) is not nn.Parameter
        model.save_pretrained(tmp_path / load.__name__)
        processor.save_pretrained(tmp_path / load.__name__)
    recognizer = pipeline("automatic-speech-recognition", model=str(tmp_path / "load_checkpoint"))
    assert isinstance(recognizer(recording, generate_kwargs={"max_new_tokens": 3})["text"], str)


def test_adapters_of_other_weights(torchao, checkpoint, tmp_path):
    plain, _ = load_checkpoint(checkpoint)
    plain.add_adapter(LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    plain.save_pretrained(tmp_path)
    model, _ = load_checkpoint(checkpoint, quantization="int8")
    batch = speech_batch([80, 60])
    with torch.no_grad():
        before = model.get_encoder()(**batch).last_hidden_state
        model.load_adapter(str(tmp_path), "small")
        states = model.get_encoder()(**batch).last_hidden_state
        expected = plain.get_encoder()(**batch).last_hidden_state
    assert (states - expected).norm() < 0.2 * (states - before).norm()


@pytest.mark.parametrize("options", [["--quantization", "int8"], ["--dtype", "bfloat16"]])
def test_commands(torchao, checkpoint, recording, options):
    arguments = ["transcribe", recording, "--model", checkpoint, "--max-new-tokens", "3", "--json", *options]
    code = f"from mu2slam_hf.cli import main\nraise SystemExit(main({arguments}))"
    done = run_python(code, PYTHONPATH=os.pathsep.join(sys.path))
    assert json.loads(done.stdout)["file"] == recording and done.stderr == ""


@pytest.mark.parametrize("bits", [8, 4])
def test_bitsandbytes_replaces_all_layers(bitsandbytes, wider_checkpoint, recording, tmp_path, bits):
    config = BitsAndBytesConfig(load_in_8bit=bits == 8, load_in_4bit=bits == 4)
    model = AutoModelForSpeechSeq2Seq.from_pretrained(wider_checkpoint, quantization_config=config)
    plain, processor = load_checkpoint(wider_checkpoint)
    layers = {name for name, module in plain.named_modules() if isinstance(module, nn.Linear)}
    kind = bitsandbytes.nn.Linear8bitLt if bits == 8 else bitsandbytes.nn.Linear4bit
    assert {name for name, module in model.named_modules() if isinstance(module, kind)} == layers - HEADS
    assert model.get_memory_footprint() < plain.get_memory_footprint()
    batch = speech_batch([80, 60])
    with torch.no_grad():
        states, expected = (one.get_encoder()(**batch).last_hidden_state for one in (model, plain))
    assert 0 < (states - expected).pow(2).mean().sqrt() < (0.1 if bits == 8 else 0.5)
    ids = write(model)
    assert write(model, num_beams=2, ctc_weight=0.3).shape[0] == 2
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert torch.equal(write(load_any_checkpoint(str(tmp_path))[0]), ids)
    arguments = ["transcribe", recording, "--model", str(tmp_path), "--max-new-tokens", "3", "--json"]
    code = f"from mu2slam_hf.cli import main\nraise SystemExit(main({arguments}))"
    done = run_python(code, PYTHONPATH=os.pathsep.join(sys.path))
    assert json.loads(done.stdout)["file"] == recording and done.stderr == ""


def test_adapters_learn_on_weights_of_4_bits(bitsandbytes, wider_checkpoint):
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    model = AutoModelForSpeechSeq2Seq.from_pretrained(wider_checkpoint, quantization_config=config)
    torch.manual_seed(0)
    labels = torch.randint(model.config.text_token_offset, model.config.vocab_size, (2, 5))
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear")).eval()  # without dropout
    batch = speech_batch([80, 60]) | {"labels": labels}
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.02)
    losses = []
    for _ in range(6):
        loss = model(**batch).loss
        loss.backward()
        assert {"lora_" in name for name, one in model.named_parameters() if one.grad is not None} == {True}
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


def test_int8_warns_of_a_processor_without_its_instructions(torchao, checkpoint, monkeypatch):
    monkeypatch.setattr("mu2slam_hf.models.modules_layers.multiplies_int8", lambda: False)
    for load in (load_checkpoint, load_any_checkpoint):
        with pytest.warns(UserWarning, match="no instructions for 8-bit integers .* int8_weight_only"):
            load(checkpoint, quantization="int8")
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            load(checkpoint, quantization="int8_weight_only")


def test_a_quantization_requires_its_extra(checkpoint, recording, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'mu2slam-hf\[quantization\]'"):
        load_checkpoint(checkpoint, quantization="int8")
    assert main(["transcribe", recording, "--model", checkpoint, "--quantization", "int8"]) == 1
    assert "pip install 'mu2slam-hf[quantization]'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected a quantization of int8, int8_weight_only, got 'int4'"):
        check_quantization("int4")


@pytest.mark.parametrize("tied", [True, False])
def test_heads_that_quantisers_leave_out_stay_usable_in_float16(tied, tmp_path):
    config = tiny_config()
    config.tie_word_embeddings = tied
    Mu2SLAMForConditionalGeneration(config).save_pretrained(tmp_path)
    model = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float16)
    kept = {name for name, parameter in model.named_parameters() if parameter.dtype == torch.float32}
    assert {name.partition(".")[0] for name in kept} == ({"language_head"} if tied else {"language_head", "ctc_head"})
    assert write(model, ctc_weight=0.5).shape[0] == 2
    assert torch.isfinite(model(**speech_batch([80, 60]), decoder_input_ids=torch.ones(2, 3).long()).ctc_logits).all()
