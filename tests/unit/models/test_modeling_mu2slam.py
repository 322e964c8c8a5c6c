# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch
from tiny_models import speech_batch, text_ids, tiny_model

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


def test_language_changes_the_outcome():
    model, batch, target = tiny_model(), speech_batch([50]), text_ids(1, 4)
    outputs = []
    for pair in ((1, 1), (1, 2), (2, 1)):
        rows = dict(zip(("language_ids", "decoder_language_ids"), torch.tensor(pair)[:, None], strict=True))
        outputs.append(model(**batch, decoder_input_ids=target, **rows))
    assert not torch.allclose(outputs[0].logits, outputs[1].logits)
    assert not torch.allclose(outputs[0].logits, outputs[2].logits)


def test_a_model_without_targets_names_them():
    with pytest.raises(ValueError, match="Pass `labels` or `decoder_input_ids` .* or call `generate`"):
        tiny_model()(**speech_batch([50]))


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
