# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf import ConformerEncoder, ConformerEncoderConfig, Mu2SLAMConfig, Mu2SLAMForPreTraining

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
KINDS = {
    "relative": {"position_embeddings_type": "relative", "conv_norm": "batch", "final_layer_norm": True},
    "relative_key": {
        "position_embeddings_type": "relative_key",
        "conv_norm": "layer",
        "conv_causal": True,
        "left_max_position_embeddings": 3,
        "right_max_position_embeddings": 1,
    },
    "rotary inputs": {"position_embeddings_type": "rotary", "rotary_before_projection": True, "conv_norm": "batch"},
    "none": {"position_embeddings_type": "none", "conv_norm": "batch", "convolution_bias": False},
}


def make_encoder(kind: str, backend: str = "sdpa") -> ConformerEncoder:
    torch.manual_seed(0)
    config = ConformerEncoderConfig(**SIZES, **KINDS[kind], initializer_range=0.2)
    encoder = ConformerEncoder._from_config(config, attn_implementation=backend)
    with torch.no_grad():
        for name, tensor in encoder.state_dict().items():
            noise = 0.1 * torch.randn(tensor.shape)
            tensor.add_(noise.abs() if "running_var" in name else noise)
    return encoder.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["sdpa", "eager"])
def test_packed_sequences_do_not_touch_each_other(kind, backend):
    encoder = make_encoder(kind, backend)
    one, two, three = torch.randn(1, 6, 16), torch.randn(1, 3, 16), torch.randn(1, 1, 16)
    packed = torch.cat([one, two, three, torch.full((1, 2, 16), 50.0)], dim=1)
    ids = torch.tensor([[1] * 6 + [2] * 3 + [3] + [0] * 2])
    with torch.no_grad():
        output = encoder(packed, sequence_ids=ids).last_hidden_state
        for start, alone in ((0, one), (6, two), (9, three)):
            expected = encoder(alone).last_hidden_state
            actual = output[:, start : start + alone.shape[1]]
            torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["sdpa", "eager"])
def test_padding_changes_nothing(kind, backend):
    encoder, states = make_encoder(kind, backend), torch.randn(1, 5, 16)
    padded = torch.cat([states, torch.full((1, 4, 16), 50.0)], dim=1)
    mask = torch.tensor([[1] * 5 + [0] * 4])
    with torch.no_grad():
        expected = encoder(states).last_hidden_state
        actual = encoder(padded, attention_mask=mask).last_hidden_state[:, :5]
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["relative", "relative_key", "rotary inputs"])
def test_order_matters(kind):
    encoder, states = make_encoder(kind), torch.randn(1, 4, 16)
    attention = encoder.layers[0].self_attn
    positions = encoder._embed_positions(states, None, None)
    forwards = attention(states, None, positions)[0]
    backwards = attention(states.flip(1), None, positions)[0].flip(1)
    assert (forwards - backwards).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_layers_run_in_parts(kind):
    """The final normalisation comes with the last layer only."""
    encoder, states = make_encoder(kind), torch.randn(1, 5, 16)
    with torch.no_grad():
        first = encoder(states, end_layer=2).last_hidden_state
        second = encoder(first, start_layer=2).last_hidden_state
        whole = encoder(states, output_hidden_states=True)
    torch.testing.assert_close(second, whole.last_hidden_state)
    assert len(whole.hidden_states) == 4
    torch.testing.assert_close(whole.hidden_states[2], first)
    assert (encoder.norm is not None) == (kind == "relative")


@pytest.mark.parametrize("kind", ["relative", "relative_key"])
def test_backends_that_would_lose_the_positions_are_refused(kind):
    encoder = make_encoder(kind)
    encoder.config._attn_implementation = "flex_attention"
    with pytest.raises(ValueError, match=f"'{kind}' requires attn_implementation 'sdpa' or 'eager'"):
        encoder(torch.randn(1, 3, 16))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_and_checkpointing(kind):
    encoder, states = make_encoder(kind), torch.randn(1, 5, 16)
    assert encoder.to(torch.bfloat16)(states.bfloat16()).last_hidden_state.dtype == torch.bfloat16
    gradients = []
    for checkpointing in (False, True):
        encoder = make_encoder(kind)
        if checkpointing:
            encoder.gradient_checkpointing_enable()
            encoder.train()
            for module in encoder.modules():
                if hasattr(module, "running_mean"):
                    module.eval()
        encoder(states).last_hidden_state.square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frontend", ["conv2d", "stacked_frames", "waveform"])
def test_fresh_models_of_every_kind_train(kind, frontend, tmp_path):
    """From scratch, with all losses of pre-training; nothing is left as uninitialised memory after loading."""
    encoder = ConformerEncoderConfig(
        **SIZES,
        **KINDS[kind],
        frontend=frontend,
        subsampling_conv_channels=[2, 2],
        conv_dim=[4, 6],
        conv_kernel=[10, 3],
        conv_stride=[5, 2],
    )
    config = Mu2SLAMConfig(encoder_config=encoder, decoder_config=SIZES, vocab_size=1200, languages=["und", "en"])
    torch.manual_seed(0)
    model = Mu2SLAMForPreTraining(config).train()
    outputs = model(**model.dummy_inputs)
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model.model.encoder.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"none_of_ours": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    fresh = type(model.model.encoder).from_pretrained(tmp_path, config=config)
    for name, tensor in fresh.state_dict().items():
        assert torch.isfinite(tensor).all() and tensor.abs().max() < 10, name
