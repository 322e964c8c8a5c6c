# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every model type through the Auto classes, configuration files and checkpoint folders."""

import json

import pytest
import torch
import transformers
from helpers import REPOSITORY_ROOT, make_tiny_pair, run_python
from torch import nn

import mu2slam_hf
from mu2slam_hf import (
    ConformerEncoderConfig,
    MaestroConfig,
    MSLAMConfig,
    MSLAMCTCConfig,
    MSLAMRNNTConfig,
    Mu2SLAMConfig,
    Mu2SLAMCTCConfig,
    Mu2SLAMCTCTokenizer,
    Mu2SLAMForCTC,
    Mu2SLAMProcessor,
    Mu2SLAMRNNTConfig,
    SpeechLLMConfig,
    SpeechTextDualEncoderConfig,
    SpeechTokenizerConfig,
)
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.inference.registration import register_model_types
from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig

MODEL_CONFIGS = sorted((REPOSITORY_ROOT / "configuration" / "models").rglob("*.json"))
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def tiny_configs() -> dict[str, object]:
    encoder = ConformerEncoderConfig(**SMALL, subsampling_conv_channels=[2, 2])
    two_layers = ConformerEncoderConfig(**{**SMALL, "num_hidden_layers": 2}, subsampling_conv_channels=[2, 2])
    shared = {"vocab_size": 1200, "languages": ["und", "en"]}
    text = {"model_type": "llama", "vocab_size": 40, "pad_token_id": 0, **SMALL}
    whole = Mu2SLAMConfig(encoder_config=encoder, decoder_config=SMALL, **shared)
    return {
        "mu2slam": whole,
        "mu2slam_ctc": Mu2SLAMCTCConfig(encoder_config=encoder, **shared),
        "mu2slam_rnnt": Mu2SLAMRNNTConfig(encoder_config=encoder, transducer_config={"hidden_size": 8}, **shared),
        "mslam": MSLAMConfig(encoder_config=two_layers, num_speech_layers=1, codevector_dim=8, **shared),
        "mslam_ctc": MSLAMCTCConfig(encoder_config=two_layers, num_speech_layers=1, **shared),
        "maestro": MaestroConfig(
            encoder_config=two_layers,
            num_speech_layers=1,
            codevector_dim=8,
            text_encoder_config={"num_hidden_layers": 1},
            refiner_config={"num_hidden_layers": 1},
            transducer_config={"hidden_size": 8, "joint_size": 8, "num_layers": 1},
            alignment_ema_decay=0.9,
            **shared,
        ),
        "mslam_rnnt": MSLAMRNNTConfig(
            encoder_config=two_layers, num_speech_layers=1, transducer_config={"hidden_size": 8}, **shared
        ),
        "speech_llm": SpeechLLMConfig(encoder_config=encoder, text_config=text, audio_token_id=40),
        "speech_text_dual_encoder": SpeechTextDualEncoderConfig(
            text_config={"model_type": "llama", "vocab_size": 50, "num_key_value_heads": 2, **SMALL}
        ),
        "mu2slam_speech_synthesizer": SpeechSynthesizerConfig(
            num_speech_tokens=8, encoder_config=SMALL, frame_config=SMALL, vocoder="istft", vocoder_config=SMALL
        ),
        "mu2slam_decoder": whole.decoder_config,
        "mu2slam_conformer": encoder,
        "mu2slam_speech_tokenizer": SpeechTokenizerConfig(num_codevectors_per_group=8),
    }


PAIRS = [(model_type, auto_name) for model_type, classes in MODEL_TYPES.items() for auto_name in classes.models]


def test_there_is_a_tiny_configuration_of_every_model_type():
    assert tiny_configs().keys() == MODEL_TYPES.keys()
    for model_type, classes in MODEL_TYPES.items():
        assert classes.config.model_type == model_type
        for model_class in classes.models.values():
            assert model_class.config_class is classes.config


def test_registering_again_changes_nothing():
    before = dict(transformers.pipelines.SUPPORTED_TASKS["automatic-speech-recognition"])
    register_model_types()
    assert transformers.pipelines.SUPPORTED_TASKS["automatic-speech-recognition"] == before


@pytest.mark.parametrize(("model_type", "auto_name"), PAIRS)
def test_auto_classes_build_save_and_load(model_type, auto_name, tmp_path):
    config, auto_class = tiny_configs()[model_type], getattr(transformers, auto_name)
    model = auto_class.from_config(config)
    assert type(model) is MODEL_TYPES[model_type].models[auto_name]
    model.save_pretrained(tmp_path)
    loaded = auto_class.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    assert type(transformers.AutoConfig.from_pretrained(tmp_path)) is type(config)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    # A checkpoint of a Trainer carries no code.
    assert not list(tmp_path.glob("*.py"))


@pytest.mark.parametrize(("model_type", "auto_name"), PAIRS)
def test_quantisers_find_all_linear_layers(model_type, auto_name):
    """Those of transformers replace modules whose type is exactly `nn.Linear`."""
    model = getattr(transformers, auto_name).from_config(tiny_configs()[model_type])
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert {type(module) for module in layers} <= {nn.Linear}
    assert layers or model_type == "mu2slam_speech_tokenizer"


@pytest.mark.parametrize("model_type", tiny_configs())
def test_configurations_round_trip(model_type, tmp_path):
    config = tiny_configs()[model_type]
    again = type(config).from_dict(json.loads(config.to_json_string()))
    assert again.to_dict() == config.to_dict()
    config.save_pretrained(tmp_path)
    loaded = transformers.AutoConfig.from_pretrained(tmp_path)
    assert loaded.to_json_string() == config.to_json_string()


@pytest.mark.parametrize("auto_name", ["AutoProcessor", "AutoTokenizer", "AutoFeatureExtractor"])
def test_processors_by_auto_class(auto_name, tmp_path):
    model, processor = make_tiny_pair()
    ctc_processor = Mu2SLAMProcessor(
        processor.feature_extractor,
        Mu2SLAMCTCTokenizer.from_tokenizer(processor.tokenizer),
        languages=processor.languages,
    )
    for name, saved_model, saved in (
        ("seq2seq", model, processor),
        ("ctc", Mu2SLAMForCTC.from_conditional_generation(model), ctc_processor),
    ):
        saved_model.save_pretrained(tmp_path / name)
        saved.save_pretrained(tmp_path / name)
        loaded = getattr(transformers, auto_name).from_pretrained(tmp_path / name)
        expected = {"AutoProcessor": saved, "AutoTokenizer": saved.tokenizer}.get(auto_name, saved.feature_extractor)
        assert type(loaded) is type(expected)


def test_a_seq2seq_checkpoint_is_no_ctc_model_and_the_other_way_round(tmp_path):
    configs = tiny_configs()
    for model_type, right, wrong, message in (
        ("mu2slam", "AutoModelForSpeechSeq2Seq", "AutoModelForCTC", r"Mu2SLAMForCTC\.from_pretrained\('.*mu2slam'\)"),
        ("mu2slam_ctc", "AutoModelForCTC", "AutoModelForSpeechSeq2Seq", "Unrecognized configuration class"),
    ):
        getattr(transformers, right).from_config(configs[model_type]).save_pretrained(tmp_path / model_type)
        with pytest.raises(ValueError, match=message):
            getattr(transformers, wrong).from_pretrained(tmp_path / model_type)
    with pytest.raises(ValueError, match="from_mu2slam_config"):
        transformers.AutoModelForCTC.from_config(configs["mu2slam"])


@pytest.mark.parametrize("path", MODEL_CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_configuration_file_makes_a_model(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    classes = MODEL_TYPES[content["model_type"]]
    config = classes.config.from_dict(content)
    unknown = content.keys() - config.to_dict().keys()
    assert not unknown, f"{path.name} has keys that nothing reads: {sorted(unknown)}"
    for section in ("encoder_config", "decoder_config"):
        if section in content:
            unknown = content[section].keys() - getattr(config, section).to_dict().keys()
            assert not unknown, f"{path.name}: {section} has keys that nothing reads: {sorted(unknown)}"
    model_class = next(cls for name, cls in classes.models.items() if name != "AutoModel")
    with torch.device("meta"):
        model = model_class(config)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


def test_the_tiny_configuration_runs():
    path = REPOSITORY_ROOT / "configuration" / "models" / "mu2slam" / "tiny.json"
    model = mu2slam_hf.Mu2SLAMForConditionalGeneration(Mu2SLAMConfig.from_dict(json.loads(path.read_text())))
    labels = torch.full((1, 3), model.config.vocab_size - 1)
    outputs = model(input_features=torch.randn(1, 30, 80), labels=labels, ctc_labels=labels[:, :1])
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)


def test_a_checkpoint_loads_by_auto_classes_in_a_fresh_process(tmp_path):
    model, processor = make_tiny_pair()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    run_python(
        """
import sys
import mu2slam_hf
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline
assert type(AutoModelForSpeechSeq2Seq.from_pretrained(sys.argv[1])).__name__ == "Mu2SLAMForConditionalGeneration"
assert type(AutoProcessor.from_pretrained(sys.argv[1])).__name__ == "Mu2SLAMProcessor"
recognizer = pipeline("automatic-speech-recognition", model=sys.argv[1], device="cpu")
assert type(recognizer).__name__ == "Mu2SLAMSpeechRecognitionPipeline" and recognizer.type == "seq2seq"
""",
        str(tmp_path),
        PYTHONPATH=str(REPOSITORY_ROOT),
    )
