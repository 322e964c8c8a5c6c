# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`model.init_encoder_from`: what it takes, what it refuses and where it says so."""

import json

import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT, make_tiny_processor
from imported_encoders import bert_config, conformer_config
from mslam_batches import make_model as make_mslam
from transformers import (
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertModel,
    Wav2Vec2ConformerModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
)

from mu2slam_hf import Mu2SLAMForPreTraining, Mu2SLAMProcessor, SpeechTokenizerModel
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor
from mu2slam_hf.recipes.runs.encoder_start import load_start_extractor
from mu2slam_hf.recipes.runs.pretraining import build_frozen_speech_tokenizer
from mu2slam_hf.recipes.runs.processors import build_processor
from mu2slam_hf.recipes.runs.registry import build_run, load_recipe
from mu2slam_hf.recipes.schema.loader import RecipeError

CONFIG = REPOSITORY_ROOT / "configuration" / "models" / "mu2slam" / "tiny.json"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    sizes = {"num_hidden_layers": 1, "feature_projection_input_dim": 160, "conv_depthwise_kernel_size": 3}
    Wav2Vec2BertModel(bert_config(**sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def load(tmp_path):
    """A recipe of either kind with these values under `model`."""

    def load_model(kind: str = "finetuning", processor: dict | None = None, **model):
        path = tmp_path / "recipe.yaml"
        tree = {"kind": kind, "model": {name: str(v) if name != "overrides" else v for name, v in model.items()}}
        path.write_text(yaml.safe_dump(tree | {"processor": processor or {}}))
        return load_recipe(path)

    return load_model


def test_the_encoder_brings_its_sizes_and_the_decoder_follows(bert, load):
    processor = make_tiny_processor()
    recipe = load(init_encoder_from=bert, config=CONFIG, overrides={"encoder_config.hidden_dropout": 0.3})
    config = build_run(recipe).build_model(processor).config
    assert config.encoder_config.frontend == "stacked_frames" and config.encoder_config.hidden_dropout == 0.3
    payload = json.loads(CONFIG.read_text())
    decoder = config.decoder_config
    assert (decoder.hidden_size, decoder.num_attention_heads, decoder.intermediate_size) == (32, 4, 48)
    assert decoder.num_hidden_layers == payload["decoder_config"]["num_hidden_layers"], "the rest is of the file"
    assert config.languages == processor.languages
    alone = load(init_encoder_from=bert, overrides={"decoder_config.intermediate_size": 24})
    assert build_run(alone).build_model(processor).config.decoder_config.intermediate_size == 24


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"encoder_config.num_hidden_layers": 5},
            r"model\.overrides\.encoder_config\.num_hidden_layers: 5 does not fit the encoder of .*, which has 1; ",
        ),
        ({"encoder_config": {"frontend": "conv2d"}}, r"model\.overrides\.encoder_config\.frontend: 'conv2d' does not"),
        ({"decoder_config.hidden_size": 64}, r"model\.overrides\.decoder_config\.hidden_size: 64 .* which has 32"),
    ],
)
def test_sizes_that_contradict_the_source_are_refused(bert, load, overrides, message):
    with pytest.raises(RecipeError, match=message):
        build_run(load(init_encoder_from=bert, overrides=overrides)).build_model(make_tiny_processor())


def test_folders_without_such_an_encoder_are_refused(bert, load, tmp_path):
    with pytest.raises(RecipeError, match=r"^model\.init_encoder_from: no such folder: 'nowhere'"):
        load(init_encoder_from="nowhere")
    processor = make_tiny_processor()
    with pytest.raises(RecipeError, match=r"^model\.init_encoder_from: .* has no readable encoder"):
        build_run(load(init_encoder_from=tmp_path)).build_model(processor)
    other = tmp_path / "wavlm"
    WavLMConfig().save_pretrained(other)
    with pytest.raises(
        RecipeError, match=r"model\.init_encoder_from: expected a folder with .* wav2vec2-bert.* has .wavlm."
    ):
        build_run(load(init_encoder_from=other)).build_model(processor)
    with pytest.raises(RecipeError, match=r"model\.init_encoder_from: cannot be combined with init_from"):
        build_run(load(init_encoder_from=bert, init_from=bert)).build_model(processor)
    with pytest.raises(RecipeError, match=r"model: give either config .*, init_from .* or init_encoder_from"):
        build_run(load()).build_model(processor)


def test_the_feature_extractor_is_that_of_the_source_or_of_its_kind(bert, tmp_path):
    made = load_start_extractor(str(bert))
    assert type(made) is SeamlessM4TFeatureExtractor and made.stride == 2
    Wav2Vec2ConformerModel(conformer_config(feat_extract_norm="layer")).save_pretrained(tmp_path)
    made = load_start_extractor(str(tmp_path))
    assert type(made) is Wav2Vec2FeatureExtractor and made.return_attention_mask
    SeamlessM4TFeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(
        RecipeError, match="the front end 'waveform', but SeamlessM4TFeatureExtractor creates the input of 'stacked"
    ):
        load_start_extractor(str(tmp_path))


def test_a_saved_processor_gives_tokenizer_and_codec_and_the_codec_keeps_its_ids(bert, load, tmp_path):
    processor = make_tiny_processor()
    processor.feature_extractor = Mu2SLAMFeatureExtractor(mean=[-11.0] * 80, std=[2.0] * 80)
    processor.speech_tokenizer = SpeechTokenizerModel(
        SpeechTokenizerConfig(num_codevectors_per_group=16, codevector_dim=4, feature_mean=[0.4] * 80)
    )
    processor.save_pretrained(tmp_path / "processor")
    recipe = load(init_encoder_from=bert, processor={"init_from": str(tmp_path / "processor")})
    taken = build_processor(recipe, {})
    assert type(taken.feature_extractor) is SeamlessM4TFeatureExtractor
    assert taken.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    wave = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0)).numpy()
    expected = processor.encode_speech(wave, sampling_rate=16000)
    assert taken.encode_speech(wave, sampling_rate=16000) == expected
    taken.save_pretrained(tmp_path / "taken")
    again = Mu2SLAMProcessor.from_pretrained(tmp_path / "taken")
    assert again.encode_speech(wave, sampling_rate=16000) == expected
    recipe = load(kind="pretraining", init_encoder_from=bert)
    recipe.speech_tokenizer.kind = "random_projection"
    assert build_frozen_speech_tokenizer(recipe, taken).config.num_mel_bins == 80


def test_mslam_brings_its_processor_and_its_table_of_tokens(load, tmp_path, caplog):
    processor = make_tiny_processor()
    tokenizer = processor.tokenizer
    source = make_mslam(vocab_size=len(tokenizer), languages=processor.languages)
    source.save_pretrained(tmp_path / "mslam")
    processor.save_pretrained(tmp_path / "mslam")
    recipe = load(kind="pretraining", init_encoder_from=tmp_path / "mslam")
    own = build_processor(recipe, {})
    assert own.tokenizer.get_vocab() == tokenizer.get_vocab()
    model = build_run(recipe).build_model(own)
    assert isinstance(model, Mu2SLAMForPreTraining)
    assert torch.equal(model.model.encoder.embed_tokens.weight, source.model.embed_tokens.weight)
    assert torch.equal(
        model.model.encoder.conformer.layers[1].final_norm.weight, source.model.conformer.layers[1].final_norm.weight
    )
    other = Mu2SLAMProcessor(
        processor.feature_extractor,
        type(tokenizer).train_from_iterator(["other"], vocab_size=20, num_speech_tokens=16),
        languages=processor.languages,
    )
    model = build_run(recipe).build_model(other)
    assert model.config.vocab_size == len(other.tokenizer)
