# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""mSLAM: nothing sees what it must not see: masked content, the transcript beside CTC, padding, other records."""

import pytest
import torch
from mslam_batches import FRONTENDS, VOCABULARY, collate, make_batch, make_model

from mu2slam_hf.models.modeling_mslam_pretraining import MSLAM_LOSSES
from mu2slam_hf.models.modules_lengths import encoder_length

ALL = "sctpsa"
ENCODERS = pytest.mark.parametrize(
    "encoder",
    [
        {"conv_norm": "group", "position_embeddings_type": "sinusoidal"},
        {"conv_norm": "layer", "position_embeddings_type": "rotary", **FRONTENDS["stacked_frames"]},
        {"conv_norm": "layer", "position_embeddings_type": "relative", **FRONTENDS["waveform"]},
    ],
    ids=["conv2d-group-sinusoidal", "stacked-layer-rotary", "waveform-layer-relative"],
)
MASKS = pytest.mark.parametrize("speech_mask", ["noise", "learned"])


def change_frames(model, places: torch.Tensor, monkeypatch) -> None:
    """Adds to S at some frames `(U, N)`. (A waveform cannot be changed under a mask: neighbours hear it.)"""
    original = model.model.embed_speech

    def embed_speech(*args, **kwargs):
        frames = original(*args, **kwargs)
        # More than the deviation that the quantiser has seen, and different in all channels and frames: else all may
        # have one code before and another one after.
        return frames + 12.0 * places[..., None] * torch.arange(frames[0].numel()).view_as(frames[0]).cos()

    monkeypatch.setattr(model.model, "embed_speech", embed_speech)


@ENCODERS
@MASKS
@torch.no_grad()
def test_masked_frames_reach_their_targets_and_nothing_else(encoder, speech_mask, monkeypatch):
    model = make_model(encoder=encoder, speech_mask=speech_mask)
    batch = collate(model.config, make_batch(model.config, ALL, seed=1))
    before = model(**batch)
    change_frames(model, batch["mask_time_indices"], monkeypatch)
    after = model(**batch)
    assert torch.equal(after.speech_hidden_state, before.speech_hidden_state)
    assert torch.equal(after.last_hidden_state, before.last_hidden_state)
    targets = [MSLAM_LOSSES.index(name) for name in ("contrastive", "diversity")]
    others = [MSLAM_LOSSES.index(name) for name in ("text_mlm", "tlm_text", "ctc")]
    assert (after.loss_sums[targets] != before.loss_sums[targets]).all()
    assert torch.equal(after.loss_sums[others], before.loss_sums[others])
    monkeypatch.undo()
    # It does see every other frame.
    real = torch.arange(batch["mask_time_indices"].shape[1]) < encoder_length(
        batch["attention_mask"].sum(-1), model.config.encoder_config
    ).unsqueeze(-1)
    change_frames(model, real & ~batch["mask_time_indices"], monkeypatch)
    after = model(**batch)
    assert (after.speech_hidden_state != before.speech_hidden_state).any(-1)[real].all()


@pytest.mark.parametrize("ctc_input", ["speech", "pair"])
@torch.no_grad()
def test_ctc_does_not_read_the_transcript_beside_it(ctc_input):
    model = make_model(ctc_input=ctc_input)
    batch = collate(model.config, make_batch(model.config, "cct", seed=2))
    before = model(**batch)
    other = (batch["text_ids"] + 3) % VOCABULARY
    after = model(**{**batch, "text_ids": torch.where(batch["text_ids"] > 4, other, batch["text_ids"])})
    place = MSLAM_LOSSES.index("ctc")
    assert torch.equal(after.loss_sums[place], before.loss_sums[place]) == (ctc_input == "speech")
    assert after.loss_sums[MSLAM_LOSSES.index("tlm_speech")] != before.loss_sums[MSLAM_LOSSES.index("tlm_speech")]


@torch.no_grad()
def test_asked_tokens_are_not_read():
    """Labels decide the loss; nothing but `text_ids` enters the encoder."""
    model = make_model()
    batch = collate(model.config, make_batch(model.config, ALL, seed=3))
    labels = torch.where(batch["text_labels"] >= 0, VOCABULARY - 1, -100)
    before, after = model(**batch), model(**{**batch, "text_labels": labels})
    assert torch.equal(after.last_hidden_state, before.last_hidden_state)


@ENCODERS
@pytest.mark.parametrize("garbage", [1e30, float("nan")])
def test_padding_reaches_nothing(encoder, garbage):
    """Of features, masks and tokens: neither losses nor gradients, bit for bit."""
    model = make_model(encoder=encoder)
    plain = make_batch(model.config, ALL, seed=4)
    batch, changed = collate(model.config, plain, extra=9), collate(model.config, plain, extra=9, garbage=garbage)
    frames = encoder_length(batch["attention_mask"].sum(-1), model.config.encoder_config)
    changed["mask_time_indices"] |= torch.arange(batch["mask_time_indices"].shape[1]) >= frames[:, None]
    padding = batch["text_attention_mask"] == 0
    assert padding.any()
    changed["text_ids"][padding] = 90
    changed["text_labels"][padding] = 91
    outputs = [model(**one) for one in (batch, changed)]
    assert torch.equal(outputs[0].loss_sums, outputs[1].loss_sums)
    assert torch.equal(outputs[0].loss_counts, outputs[1].loss_counts)
    parameters = list(model.parameters())
    expected, actual = (torch.autograd.grad(output.loss, parameters) for output in outputs)
    for one, other in zip(expected, actual, strict=True):
        assert torch.isfinite(other).all()
        assert torch.equal(other, one)


@ENCODERS
@torch.no_grad()
def test_more_padding_and_the_rest_of_the_batch_change_nothing(encoder):
    model = make_model(encoder=encoder)
    batch = make_batch(model.config, ALL, seed=5)
    expected = model(**collate(model.config, batch))
    padded = model(**collate(model.config, batch, extra=23))
    torch.testing.assert_close(padded.loss_sums, expected.loss_sums, rtol=1e-5, atol=1e-5)
    # Diversity is a mean over the batch, by its nature; all others are sums of what each record gives alone.
    total = torch.zeros_like(expected.loss_sums)
    for number in range(len(batch.utterances)):
        texts = [text for speech, text in batch.pairs if speech == number]
        alone = type(batch)([batch.utterances[number]], [batch.texts[t] for t in texts], [(0, 0)] * len(texts))
        total += model(**collate(model.config, alone)).loss_sums
    for number, text in enumerate(batch.texts):
        if number not in [t for _, t in batch.pairs]:
            total += model(**collate(model.config, type(batch)([], [text], []))).loss_sums
    others = [index for index, name in enumerate(MSLAM_LOSSES) if name != "diversity"]
    torch.testing.assert_close(total[others], expected.loss_sums[others], rtol=1e-5, atol=1e-5)


@ENCODERS
@torch.no_grad()
def test_speech_text_and_pairs_are_the_same_alone_and_in_a_batch(encoder):
    model = make_model(encoder=encoder).model
    batch = collate(model.config, make_batch(model.config, "ppp", seed=6), extra=13, garbage=float("nan"))
    lengths, text_lengths = batch["attention_mask"].sum(-1), batch["text_attention_mask"].sum(-1)
    speech = {model.main_input_name: batch[model.main_input_name], "attention_mask": batch["attention_mask"]}
    text = {"input_ids": batch["text_ids"], "attention_mask": batch["text_attention_mask"]}
    pair = {**speech, "input_ids": batch["text_ids"], "text_attention_mask": batch["text_attention_mask"]}
    together = [model(**one) for one in (speech, text, pair)]
    for row in range(3):
        one_speech = {model.main_input_name: batch[model.main_input_name][row : row + 1, : lengths[row]]}
        one_text = {"input_ids": batch["text_ids"][row : row + 1, : text_lengths[row]]}
        for outputs, inputs in zip(together, (one_speech, one_text, {**one_speech, **one_text}), strict=True):
            alone = model(**inputs).last_hidden_state
            real = outputs.attention_mask[row].bool()
            assert int(real.sum()) == alone.shape[1]
            torch.testing.assert_close(outputs.last_hidden_state[row, real], alone[0], rtol=1e-5, atol=1e-5)
