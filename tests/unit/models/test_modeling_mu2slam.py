# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from tiny_models import TEXT_OFFSET, speech_batch, text_ids, tiny_model

from mu2slam_hf import Mu2SLAMForCTC
from mu2slam_hf.models.modules_losses import cross_entropy_mean, ctc_sum


def test_tied_tables_are_one_tensor():
    model = tiny_model()
    table = model.model.encoder.embed_tokens.weight
    for other in (model.lm_head.weight, model.ctc_head.weight, model.model.decoder.embed_tokens.weight):
        assert other is table
    assert model.model.decoder.embed_languages.weight is model.model.encoder.embed_languages.weight


def test_loss_is_the_weighted_sum_of_its_parts():
    model = tiny_model()
    labels = text_ids(2, 5)
    labels[1, 3:] = -100
    languages = torch.tensor([1, -100])
    output = model(**speech_batch([60, 33]), labels=labels, ctc_labels=labels, source_language_labels=languages)
    decoder = cross_entropy_mean(output.logits, labels)
    total, count, _ = ctc_sum(output.ctc_logits, output.encoder_attention_mask.bool(), labels)
    language = cross_entropy_mean(output.language_logits, languages)
    expected = decoder + 0.3 * total / count + 0.1 * language
    torch.testing.assert_close(output.loss, expected)


def test_ctc_never_emits_speech_ids():
    logits = tiny_model()(**speech_batch([40]), decoder_input_ids=torch.ones(1, 1, dtype=torch.int64)).ctc_logits
    assert logits.softmax(-1)[..., 4:TEXT_OFFSET].max() == 0.0
    assert ((logits.argmax(-1) >= TEXT_OFFSET) | (logits.argmax(-1) == 0) | (logits.argmax(-1) == 3)).all()


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_packed_text_rows_equal_rows_of_their_own(norm, positions):
    model = tiny_model(conv_norm=norm, position_embeddings_type=positions)
    encoder, decoder = model.model.encoder, model
    first, second = text_ids(1, 7, seed=1), text_ids(1, 4, seed=2)
    packed = torch.cat([first, second, torch.zeros(1, 2, dtype=torch.int64)], dim=1)
    ids = torch.tensor([[1] * 7 + [2] * 4 + [0] * 2])
    languages = torch.tensor([[1] * 7 + [2] * 4 + [0] * 2])
    states = encoder(input_ids=packed, sequence_ids=ids, language_ids=languages).last_hidden_state
    alone = [
        encoder(input_ids=first, language_ids=torch.tensor([1])).last_hidden_state,
        encoder(input_ids=second, language_ids=torch.tensor([2])).last_hidden_state,
    ]
    torch.testing.assert_close(states[:, :7], alone[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(states[:, 7:11], alone[1], atol=1e-5, rtol=1e-5)

    targets = [text_ids(1, 5, seed=3), text_ids(1, 6, seed=4)]
    outputs = decoder(
        input_ids=packed,
        sequence_ids=ids,
        language_ids=languages,
        decoder_input_ids=torch.cat(targets, dim=1),
        decoder_sequence_ids=torch.tensor([[1] * 5 + [2] * 6]),
    )
    for source, target, language, where in (
        (first, targets[0], 1, slice(0, 5)),
        (second, targets[1], 2, slice(5, 11)),
    ):
        own = decoder(input_ids=source, language_ids=torch.tensor([language]), decoder_input_ids=target)
        torch.testing.assert_close(outputs.logits[:, where], own.logits, atol=1e-5, rtol=1e-5)


def test_two_targets_of_one_utterance_equal_two_forward_passes():
    model = tiny_model()
    batch = speech_batch([50, 31])
    targets = [text_ids(2, 4, seed=1), text_ids(2, 6, seed=2)]
    languages = torch.tensor([[1] * 4 + [2] * 6] * 2)
    packed = model(
        **batch,
        decoder_input_ids=torch.cat(targets, dim=1),
        decoder_sequence_ids=torch.tensor([[1] * 4 + [2] * 6] * 2),
        decoder_source_ids=torch.ones(2, 10, dtype=torch.int64),
        decoder_language_ids=languages,
    )
    for index, (target, where) in enumerate(zip(targets, (slice(0, 4), slice(4, 10)), strict=True)):
        own = model(**batch, decoder_input_ids=target, decoder_language_ids=torch.tensor([index + 1] * 2))
        torch.testing.assert_close(packed.logits[:, where], own.logits, atol=1e-5, rtol=1e-5)


def test_decoder_sees_no_future():
    model = tiny_model()
    batch, target = speech_batch([50]), text_ids(1, 8)
    changed = target.clone()
    changed[:, 5:] = text_ids(1, 3, seed=9)
    before = model(**batch, decoder_input_ids=target).logits[:, :5]
    torch.testing.assert_close(before, model(**batch, decoder_input_ids=changed).logits[:, :5])


def test_layers_can_be_run_in_parts():
    conformer = tiny_model().model.encoder.conformer
    embeds = torch.randn(2, 9, 64)
    half = conformer(embeds, end_layer=1).last_hidden_state
    whole = conformer(embeds, output_hidden_states=True)
    torch.testing.assert_close(conformer(half, start_layer=1).last_hidden_state, whole.last_hidden_state)
    assert len(whole.hidden_states) == 3
    torch.testing.assert_close(whole.hidden_states[1], half)


def test_language_changes_the_outcome():
    model, batch, target = tiny_model(), speech_batch([50]), text_ids(1, 4)
    outputs = []
    for pair in ((1, 1), (1, 2), (2, 1)):
        rows = dict(zip(("language_ids", "decoder_language_ids"), torch.tensor(pair)[:, None], strict=True))
        outputs.append(model(**batch, decoder_input_ids=target, **rows))
    assert not torch.allclose(outputs[0].logits, outputs[1].logits)
    assert not torch.allclose(outputs[0].logits, outputs[2].logits)


@pytest.mark.parametrize("sources", [(), ("input_features", "input_ids")])
def test_exactly_one_source(sources):
    given = {"input_features": torch.randn(1, 20, 80), "input_ids": text_ids(1, 5)}
    with pytest.raises(ValueError, match="exactly one source"):
        tiny_model()(**{name: given[name] for name in sources}, decoder_input_ids=text_ids(1, 2))


def test_new_text_tokens_shift_nothing():
    model = tiny_model()
    batch, target = speech_batch([50]), text_ids(1, 4)
    before = model(**batch, decoder_input_ids=target)
    model.resize_token_embeddings(170)
    after = model(**batch, decoder_input_ids=target)
    assert after.logits.shape[-1] == after.ctc_logits.shape[-1] == 170 == model.config.decoder_config.vocab_size
    assert model.ctc_head.weight is model.lm_head.weight
    torch.testing.assert_close(after.logits[..., :160], before.logits)
    torch.testing.assert_close(after.ctc_logits[..., :160], before.ctc_logits)


def test_ctc_model_scores_as_the_head_inside():
    model = tiny_model()
    batch = speech_batch([50, 33])
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    inside = model(**batch, decoder_input_ids=text_ids(2, 2)).ctc_logits
    torch.testing.assert_close(ctc(**batch).logits, inside)
    labels = text_ids(2, 4)
    assert ctc(**batch, labels=labels).loss.item() > 0
    assert ctc.config.languages == model.config.languages


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_fresh_convolutions_of_waveforms_keep_the_size_of_speech_and_of_gradients(norm):
    """Whatever the deviation of the other weights."""
    encoder = tiny_model(frontend="waveform", conv_dim=[32] * 7, feat_extract_norm=norm, initializer_range=0.02)
    encoder = encoder.model.encoder
    speech = encoder.embed_speech(torch.randn(4, 16000, generator=torch.Generator().manual_seed(1)))
    assert 0.05 < speech.std().item() < 3.0
    speech.square().mean().backward()
    norms = [p.grad.norm().item() for p in encoder.subsampling.parameters() if p.ndim > 1]
    assert max(norms) < 30 * min(norms)


def test_speech_and_text_start_at_sizes_that_can_be_learned_from():
    encoder = tiny_model(subsampling_conv_channels=[64, 32]).model.encoder
    speech = encoder.embed_speech(torch.randn(4, 200, 80, generator=torch.Generator().manual_seed(1)))
    assert 0.3 < speech.std().item() < 3.0
    assert 0.3 < encoder.embed_text(text_ids(4, 50)).std().item() < 3.0
