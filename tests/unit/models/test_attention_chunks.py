# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf import (
    ConformerEncoder,
    ConformerEncoderConfig,
    MSLAMConfig,
    MSLAMForCTC,
    MSLAMModel,
    Mu2SLAMForConditionalGeneration,
    Mu2SLAMForCTC,
)
from mu2slam_hf.models import modules_frontends
from mu2slam_hf.models.modules_frontends import build_frontend
from tests.tiny_models import speech_batch, tiny_config

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_norm": "layer",
    "conv_depthwise_kernel_size": 3,
    "initializer_range": 0.3,
}
POSITIONS = ("rotary", "relative", "relative_key", "none", "sinusoidal")


def make_encoder(chunk_frames, positions="rotary", backend="sdpa", **options) -> ConformerEncoder:
    torch.manual_seed(0)
    config = ConformerEncoderConfig(
        **SIZES, position_embeddings_type=positions, attention_chunk_frames=chunk_frames, **options
    )
    return ConformerEncoder._from_config(config, attn_implementation=backend).eval()


def encode(encoder, states, **inputs):
    with torch.no_grad():
        return encoder(states, **inputs).last_hidden_state


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_chunk_as_long_as_the_row_is_full_attention(positions):
    states = torch.randn(2, 7, 16)
    full = encode(make_encoder(None, positions), states)
    for chunk_frames in (7, 50):
        assert torch.equal(encode(make_encoder(chunk_frames, positions), states), full)
    assert not torch.allclose(encode(make_encoder(4, positions), states), full, atol=1e-3)


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("length", [8, 9, 11, 12])
def test_folded_rows_equal_masked_and_packed_ones(positions, backend, length):
    """With chunks of 4: no, one and three frames in the last one."""
    encoder, states, other = make_encoder(4, positions, backend), torch.randn(1, length, 16), torch.randn(1, 6, 16)
    folded = encode(encoder, states)
    masked = encode(encoder, states, sequence_ids=torch.ones(1, length, dtype=torch.int64))
    torch.testing.assert_close(masked, folded, atol=1e-5, rtol=1e-5)
    packed = torch.cat([other, states, torch.full((1, 3, 16), 50.0)], dim=1)
    ids = torch.tensor([[1] * 6 + [2] * length + [0] * 3])
    result = encode(encoder, packed, sequence_ids=ids)
    torch.testing.assert_close(result[:, :6], encode(encoder, other), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(result[:, 6 : 6 + length], folded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["sdpa", "eager"])
@pytest.mark.parametrize("length", [1, 3, 4, 5, 9])
def test_a_row_alone_equals_the_row_in_a_batch(backend, length):
    encoder, states = make_encoder(4, "relative", backend), torch.randn(1, length, 16)
    batch = torch.cat([torch.randn(1, 14, 16), torch.full((1, 14, 16), 50.0)])
    batch[1, :length] = states[0]
    mask = (torch.arange(14)[None] < torch.tensor([[14], [length]])).long()
    result = encode(encoder, batch, attention_mask=mask)
    assert result.isfinite().all()
    torch.testing.assert_close(result[1:, :length], encode(encoder, states), atol=1e-5, rtol=1e-5)


def test_gradients_of_folded_and_masked_rows_are_equal():
    gradients = []
    for ids in (None, torch.ones(1, 9, dtype=torch.int64)):
        encoder = make_encoder(4).train()
        torch.manual_seed(1)
        encoder(torch.randn(1, 9, 16), sequence_ids=ids).last_hidden_state.square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    for folded, masked in zip(*gradients, strict=True):
        torch.testing.assert_close(folded, masked, atol=1e-4, rtol=1e-4)


def test_a_change_reaches_other_chunks_by_convolution_alone():
    """Each of two layers of kernel 3 reaches one frame further, and attention spreads that inside a chunk."""
    encoder, states = make_encoder(8), torch.randn(1, 40, 16)
    changed = states.clone()
    changed[0, 20] += torch.randn(16)
    difference = (encode(encoder, states) - encode(encoder, changed)).abs().amax(-1)[0]
    # Layer 1: the chunk 16 to 23 and a frame on either side; layer 2: their chunks, and a frame on either side.
    assert (difference[7:33] > 1e-5).all()
    assert torch.equal(difference[:7], torch.zeros(7)) and torch.equal(difference[33:], torch.zeros(7))


def test_given_positions_are_folded():
    encoder, states = make_encoder(4), torch.randn(2, 10, 16)
    expected = encode(encoder, states)
    torch.testing.assert_close(
        encode(encoder, states, position_ids=torch.arange(10)[None] + 3), expected, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("model_class", ["mslam", "mu2slam"])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_models_restart_positions_and_take_a_chunk_after_training(model_class, positions):
    """Two chunks with the same content, far from the ends of the row, have the same logits."""
    torch.manual_seed(0)
    config = tiny_config(position_embeddings_type=positions)
    if model_class == "mslam":
        config = MSLAMConfig(encoder_config=config.encoder_config, num_speech_layers=1)
        model = MSLAMForCTC.from_pretraining(MSLAMModel(config)).eval()
    else:
        model = Mu2SLAMForCTC.from_conditional_generation(Mu2SLAMForConditionalGeneration(config)).eval()
    assert model.config.encoder_config.attention_chunk_frames is None
    model.set_attention_chunk(20)
    period = torch.randn(1, 80, 80)
    with torch.no_grad():
        logits = model(period.repeat(1, 8, 1)).logits
    assert logits.shape[1] == 160
    whole = logits.view(8, 20, -1)
    torch.testing.assert_close(whole[3], whole[4], atol=1e-4, rtol=1e-4)
    model.set_attention_chunk(None)
    with torch.no_grad():
        assert not torch.allclose(model(period.repeat(1, 8, 1)).logits, logits, atol=1e-3)
    with pytest.raises(ValueError, match="at least one frame, got 0"):
        model.set_attention_chunk(0)


def test_wrong_numbers_are_refused():
    with pytest.raises(Exception, match="attention_chunk_frames must be at least 1; got 0"):
        ConformerEncoderConfig(attention_chunk_frames=0)


def test_packed_rows_and_flash_attention_are_refused():
    encoder = make_encoder(4)
    encoder.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="Packed rows"):
        encoder(torch.randn(1, 9, 16), sequence_ids=torch.ones(1, 9, dtype=torch.int64))


@pytest.mark.parametrize("num_frames", [41, 42, 44, 79, 80, 81])
@pytest.mark.parametrize("padded", [False, True])
def test_front_end_in_blocks(num_frames, padded, monkeypatch):
    """Long recordings are subsampled in blocks; the result is that of all frames at once."""
    torch.manual_seed(0)
    frontend = build_frontend(ConformerEncoderConfig(**SIZES))
    batch = speech_batch([num_frames, num_frames // 2, 1], garbage=float("nan") if padded else None)
    lengths = batch["attention_mask"].sum(-1) if padded else None
    with torch.no_grad():
        whole = frontend(batch["input_features"], lengths)
        monkeypatch.setattr(modules_frontends, "_BLOCK_FRAMES", 3)
        blocks = frontend(batch["input_features"], lengths)
    assert blocks.shape == whole.shape
    torch.testing.assert_close(blocks, whole)
