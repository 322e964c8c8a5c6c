# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Public speech encoders in our encoder: the same numbers, every name accounted for."""

import numpy as np
import pytest
import torch
from imported_encoders import (
    CASES,
    SHARED,
    SIZES,
    bert_config,
    conformer_config,
    make_source,
    make_speech,
    shake,
)
from safetensors.torch import load_file, save_file
from tiny_models import speech_batch, tiny_model
from transformers import (
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertForCTC,
    Wav2Vec2BertModel,
    Wav2Vec2ConformerConfig,
    Wav2Vec2ConformerForPreTraining,
    Wav2Vec2ConformerModel,
    WavLMConfig,
)

from mu2slam_hf import (
    ConformerEncoder,
    MSLAMModel,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForPreTraining,
    Mu2SLAMModel,
)
from mu2slam_hf.interop.speech_encoders import (
    FORMATS,
    build_from_speech_encoder,
    build_mslam_from_speech_encoder,
    check_names,
    convert_config,
    load_speech_encoder,
    rename_weights,
)
from mu2slam_hf.models.configuration_mu2slam import Mu2SLAMCTCConfig
from mu2slam_hf.models.modeling_mu2slam import Mu2SLAMEncoder, Mu2SLAMForCTC

DECODER = {"num_hidden_layers": 1}


def build(source, model_class=Mu2SLAMModel):
    torch.manual_seed(0)
    return build_from_speech_encoder(source, model_class, DECODER, **SHARED)


@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.parametrize("length", [1, 37, 150])
def test_every_layer_gives_what_the_source_gives(kind, name, length):
    source, speech = make_source(kind, name), make_speech(kind, length)
    encoder = build(source).encoder
    with torch.no_grad():
        expected = source(**speech, output_hidden_states=True)
        actual = encoder(**speech, output_hidden_states=True)
    torch.testing.assert_close(actual.last_hidden_state, expected.last_hidden_state, atol=1e-5, rtol=0)
    assert len(actual.hidden_states) == len(expected.hidden_states) == SIZES["num_hidden_layers"] + 1
    # The last one of Wav2Vec2Conformer is before its final normalisation, ours is after it.
    for ours, theirs in zip(actual.hidden_states[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    if kind == "conformer":
        layers = encoder.conformer.layers
        torch.testing.assert_close(
            layers[-1](actual.hidden_states[-2], position_embeddings=positions_of(encoder, expected)),
            expected.hidden_states[-1],
            atol=1e-5,
            rtol=0,
        )


def positions_of(encoder: Mu2SLAMEncoder, outputs):
    return encoder.conformer._embed_positions(outputs.last_hidden_state, None, None)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_gradients_are_those_of_the_source(kind, name):
    """The gradient of every weight, renamed as the weight is."""
    source, speech = make_source(kind, name), make_speech(kind, 21)
    encoder = build(source).encoder
    weights = torch.randn(source(**speech).last_hidden_state.shape, generator=torch.Generator().manual_seed(2))
    (source(**speech).last_hidden_state * weights).sum().backward()
    (encoder(**speech).last_hidden_state * weights).sum().backward()
    gradients = {key: weight.grad for key, weight in source.named_parameters() if weight.grad is not None}
    expected, left_out = rename_weights(gradients, FORMATS[source.config.model_type], "gradients")
    assert not left_out
    own = dict(encoder.named_parameters())
    assert expected.keys() == own.keys() - {f"embed_{table}.weight" for table in ("tokens", "languages", "modalities")}
    for key, gradient in expected.items():
        torch.testing.assert_close(own[key].grad, gradient, atol=2e-4, rtol=1e-3, msg=lambda text, key=key: key + text)
    assert own["embed_languages.weight"].grad.abs().sum() > 0


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_padding_does_not_leak(kind, name):
    """Ours does not leak where the source does: Wav2Vec2Conformer convolves over padding, `group` averages over it."""
    encoder = build(make_source(kind, name)).encoder
    alone = [make_speech(kind, length, seed=length) for length in (40, 17, 2)]
    key = next(iter(alone[0]))
    lengths = [speech[key].shape[1] for speech in alone]
    batch = torch.full((3, lengths[0] + 11, *alone[0][key].shape[2:]), torch.nan)
    mask = torch.zeros(batch.shape[:2], dtype=torch.int64)
    for row, speech in enumerate(alone):
        batch[row, : lengths[row]] = speech[key][0]
        mask[row, : lengths[row]] = 1
    with torch.no_grad():
        outputs = encoder(**{key: batch}, attention_mask=mask)
        assert torch.isfinite(outputs.last_hidden_state).all()
        for row, speech in enumerate(alone):
            expected = encoder(**speech).last_hidden_state[0]
            assert outputs.attention_mask[row].sum() == len(expected)
            torch.testing.assert_close(outputs.last_hidden_state[row, : len(expected)], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "name"), [("bert", "relative_key"), ("conformer", "relative-group")])
@pytest.mark.parametrize("model_class", [Mu2SLAMForConditionalGeneration, Mu2SLAMForPreTraining])
def test_models_around_it_are_saved_and_loaded(kind, name, model_class, tmp_path):
    model, speech = build(make_source(kind, name), model_class), make_speech(kind, 30)
    model.save_pretrained(tmp_path)
    loaded, info = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    if model_class is Mu2SLAMForConditionalGeneration:
        assert not info["missing_keys"] and not info["unexpected_keys"]
    assert loaded.config.inputs_to_logits_ratio == {"bert": 320, "conformer": 20}[kind]
    with torch.no_grad():
        expected = model.model.encoder(**speech).last_hidden_state
        assert torch.equal(loaded.eval().model.encoder(**speech).last_hidden_state, expected)
        text = loaded.generate(**speech, target_lang="en", max_new_tokens=3, num_beams=1)
        again = loaded.generate(next(iter(speech.values())), target_lang="en", max_new_tokens=3, num_beams=1)
    assert torch.equal(text, again)


def test_one_training_step_of_every_head_on_a_waveform():
    model = build(make_source("conformer", "rotary-group"), Mu2SLAMForConditionalGeneration).train()
    labels = torch.tensor([[100, 101, 2]])
    outputs = model(**make_speech("conformer", 30), labels=labels, ctc_labels=labels[:, :2])
    outputs.loss.backward()
    assert outputs.ctc_logits.shape[1] == outputs.encoder_last_hidden_state.shape[1] == 31
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.model.encoder.parameters())


def test_features_of_w2v_bert_go_in_as_they_come():
    """Its own feature extractor, and the mask that it gives."""
    source = shake(Wav2Vec2BertModel(bert_config(feature_projection_input_dim=160)))
    model = build(source, Mu2SLAMForConditionalGeneration)
    clips = [np.random.default_rng(0).standard_normal(n).astype(np.float32) for n in (16000, 9000)]
    inputs = SeamlessM4TFeatureExtractor()(clips, sampling_rate=16000, return_tensors="pt")
    assert inputs["input_features"].shape[-1] == 160
    with torch.no_grad():
        outputs = model(**inputs, decoder_input_ids=torch.ones(2, 1, dtype=torch.int64))
        expected = source(**inputs).last_hidden_state
    assert torch.equal(outputs.encoder_attention_mask, inputs["attention_mask"].long())
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(outputs.encoder_last_hidden_state[real], expected[real], atol=1e-5, rtol=0)
    assert model.generate(**inputs, target_lang="fr", max_new_tokens=2).shape[0] == 2


def test_ctc_model_around_a_waveform_encoder():
    weights = load_speech_encoder(make_source("conformer", "rotary-layer"))
    model = Mu2SLAMForCTC(Mu2SLAMCTCConfig(encoder_config=weights.config, **SHARED)).eval()
    weights.load_into(model)
    speech = make_speech("conformer", 12)
    assert model.main_input_name == "input_values" and model.config.inputs_to_logits_ratio == 20
    labels = torch.tensor([[100, 101]])
    assert torch.isfinite(model(**speech, labels=labels).loss)
    with pytest.raises(ValueError, match=r"exactly one source: input_values .speech."):
        model(attention_mask=torch.ones(1, 3))


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        ("bert", "relative_key", {"input_values": torch.zeros(1, 400)}),
        ("bert", "relative_key", {"input_features": torch.zeros(1, 40, 12)}),
        ("conformer", "relative-group", {"input_features": torch.zeros(1, 40, 80)}),
        ("conformer", "relative-group", {"input_values": torch.zeros(1, 400, 1)}),
    ],
)
def test_the_input_of_another_front_end_is_refused(kind, name, wrong):
    model = build(make_source(kind, name), Mu2SLAMForConditionalGeneration)
    expected = "input_features .batch, frames, 24." if kind == "bert" else "input_values .batch, samples."
    with pytest.raises(ValueError, match=expected):
        model(**wrong, decoder_input_ids=torch.ones(1, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match=expected):
        model.generate(**wrong)


@pytest.mark.parametrize("kind", ["bert", "conformer"])
def test_a_folder_with_a_head(kind, tmp_path):
    if kind == "bert":
        source = shake(Wav2Vec2BertForCTC(bert_config(vocab_size=20)))
    else:
        source = shake(Wav2Vec2ConformerForPreTraining(conformer_config()))
    source.save_pretrained(tmp_path)
    from_folder, from_model = load_speech_encoder(str(tmp_path)), load_speech_encoder(source)
    assert from_folder.config.to_dict() == from_model.config.to_dict()
    assert from_folder.state_dict.keys() == from_model.state_dict.keys()
    for name, tensor in from_model.state_dict.items():
        assert torch.equal(from_folder.state_dict[name], tensor), name
    assert "masked_spec_embed" in from_folder.left_out
    assert {"bert": "lm_head.weight", "conformer": "quantizer.codevectors"}[kind] in from_model.left_out


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def test_a_checkpoint_with_a_hole_or_a_stranger_is_refused(tmp_path):
    make_source("bert", "relative_key").save_pretrained(tmp_path)
    edit_weights(tmp_path, lambda tensors: tensors.pop("encoder.layers.1.ffn2.output_dense.weight"))
    with pytest.raises(ValueError, match=r"no weights for encoder\.layers\.1\.ffn2\.output_dense\.weight\."):
        load_speech_encoder(str(tmp_path))
    edit_weights(tmp_path, lambda tensors: tensors.update({"encoder.gate": torch.ones(2)}))
    with pytest.raises(ValueError, match=r"unknown weights: encoder\.gate\."):
        load_speech_encoder(str(tmp_path))
    known = FORMATS["wav2vec2-bert"]
    with pytest.raises(ValueError, match=r"unexpected weights encoder\.layers\.0\.gate\.weight\."):
        rename_weights({"wav2vec2_bert.encoder.layers.0.gate.weight": torch.ones(2)}, known, "it")


def test_what_cannot_be_loaded_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has an adapter"):
        load_speech_encoder(Wav2Vec2BertModel(bert_config(add_adapter=True)))
    with pytest.raises(ValueError, match="has an adapter"):
        load_speech_encoder(Wav2Vec2ConformerModel(conformer_config(add_adapter=True)))
    with pytest.raises(ValueError, match="layer_norm_eps=0.001"):
        load_speech_encoder(Wav2Vec2ConformerModel(conformer_config(layer_norm_eps=1e-3)))
    WavLMConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="expected a speech encoder of type wav2vec2-bert, .*, got 'wavlm'"):
        load_speech_encoder(str(tmp_path))


def test_a_model_of_another_shape_is_refused():
    weights = load_speech_encoder(make_source("bert", "relative_key"))
    other = build(make_source("bert", "relative"))
    with pytest.raises(ValueError, match=r"missing weights: .*bias_u.*; unexpected weights: .*distance_embedding"):
        weights.load_into(other)
    wide = load_speech_encoder(shake(Wav2Vec2BertModel(bert_config(intermediate_size=64))))
    with pytest.raises(ValueError, match=r"shape mismatch: .*up_proj\.weight \(48, 32\), expected \(64, 32\)"):
        weights.load_into(build(wide))
    with pytest.raises(ValueError, match="has no encoder"):
        weights.load_into(torch.nn.Linear(1, 1))


def test_the_bare_encoder_takes_its_part():
    weights = load_speech_encoder(make_source("conformer", "relative-layer"))
    encoder = ConformerEncoder(weights.config)
    weights.load_into(encoder)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, weights.state_dict[f"conformer.{name}"]), name


PUBLIC = {
    # facebook/w2v-bert-2.0
    "w2v-bert-2.0": (Wav2Vec2BertModel, Wav2Vec2BertConfig()),
    # facebook/wav2vec2-conformer-rel-pos-large and -rope-large
    **{
        name: (
            Wav2Vec2ConformerModel,
            Wav2Vec2ConformerConfig(
                hidden_size=1024,
                num_hidden_layers=24,
                num_attention_heads=16,
                intermediate_size=4096,
                hidden_act="swish",
                feat_extract_norm="layer",
                conv_bias=True,
                position_embeddings_type=positions,
            ),
        )
        for name, positions in (("rel-pos-large", "relative"), ("rope-large", "rotary"))
    },
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_of_the_public_sizes_has_its_place(name):
    model_class, config = PUBLIC[name]
    with torch.device("meta"):
        source = model_class(config)
        ours = Mu2SLAMEncoder(build_config(config))
    renamed, left_out = rename_weights(source.state_dict(), FORMATS[config.model_type], name)
    check_names(ours.state_dict(), renamed, name)
    assert len(renamed) + len(left_out) == len(source.state_dict())
    assert ours.config.inputs_to_logits_ratio == 320


def build_config(config) -> Mu2SLAMCTCConfig:
    return Mu2SLAMCTCConfig(encoder_config=convert_config(config, "it"), **SHARED)


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_an_mslam_starts_from_a_mu2slam(positions):
    """The embeddings of `und` and of speech are part of the front end, masked or not, so that all states are equal."""
    source = tiny_model(position_embeddings_type=positions)
    speech = speech_batch([60, 41])
    own = {name: getattr(source.config, name) for name in ("vocab_size", "num_speech_tokens", "text_token_offset")}
    model = build_mslam_from_speech_encoder(source, 1, MSLAMModel, **own)
    masked = torch.zeros(2, 15, dtype=torch.bool)
    masked[0, 3:8] = True
    mask_id = torch.tensor(source.config.mask_token_id)
    encoder = source.get_encoder()
    with torch.no_grad():
        expected = encoder(**speech)
        actual = model(**speech)
        torch.testing.assert_close(actual.last_hidden_state[0], expected.last_hidden_state[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            actual.last_hidden_state[1, :11], expected.last_hidden_state[1, :11], atol=1e-5, rtol=1e-5
        )
        frames = encoder.embed_speech(speech["input_features"])
        frames = torch.where(masked[..., None], encoder.embed_tokens(mask_id), frames)
        expected = encoder.add_identities(frames, None, torch.zeros(1, dtype=torch.int64))
        torch.testing.assert_close(
            model.embed_masked_speech(speech["input_features"], None, masked), expected, atol=1e-5, rtol=1e-5
        )
