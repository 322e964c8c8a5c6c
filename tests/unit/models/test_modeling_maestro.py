# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
import torch
from helpers import make_tiny_processor
from maestro_batches import make_maestro, make_maestro_batch, make_maestro_config

from mu2slam_hf import MaestroConfig, MaestroModel, MSLAMForCTC, SpeechTextEncoder
from mu2slam_hf.models.modeling_transducer import MSLAMForRNNT
from mu2slam_hf.models.modules_text_resampling import resample

IDS = torch.tensor([[90, 91, 92, 93], [94, 95, 96, 97]])


@pytest.fixture(scope="module")
def model() -> MaestroModel:
    return make_maestro().model


def encode(model, **inputs):
    with torch.no_grad():
        return model(**inputs)


def test_text_has_the_frames_of_its_durations(model):
    outputs = encode(model, input_ids=IDS, output_hidden_states=True)
    assert outputs.attention_mask.sum(-1).tolist() == outputs.durations.sum(-1).tolist()
    assert outputs.last_hidden_state.shape[:2] == outputs.attention_mask.shape
    assert (outputs.durations.sum(-1) > 4).all()
    # Text enters after the speech layer.
    assert len(outputs.hidden_states) == 3
    given = encode(model, input_ids=IDS, durations=torch.tensor([[1, 0, 2, 1], [1, 1, 1, 1]]))
    assert given.attention_mask.tolist() == [[1] * 4] * 2


def test_text_is_written_out(model):
    """Beside the modules, one after the other, for one text."""
    front, durations = model.text_frontend, torch.tensor([[2, 0, 1, 3]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        states = front.convolutions(model.embed_text(IDS[:1]), mask)
        states = front.encoder(states).last_hidden_state
        frames = front.refiner(resample(states, durations).states).last_hidden_state
        expected = model.run_shared_layers(model.speech_projection(frames)).last_hidden_state
    actual = encode(model, input_ids=IDS[:1], durations=durations).last_hidden_state
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal", "relative"])
def test_a_text_alone_and_in_a_batch(positions):
    model = make_maestro(encoder={"position_embeddings_type": positions}).model
    padded = torch.cat([IDS, torch.full((2, 3), 99)], dim=1)
    padded[1, 3:] = 98
    mask = torch.tensor([[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0]])
    batch = encode(model, input_ids=padded, attention_mask=mask)
    for row, length in enumerate((4, 3)):
        alone = encode(model, input_ids=IDS[row : row + 1, :length])
        frames = alone.last_hidden_state.shape[1]
        assert int(batch.attention_mask[row].sum()) == frames
        torch.testing.assert_close(
            batch.last_hidden_state[row, :frames], alone.last_hidden_state[0], atol=1e-5, rtol=1e-5
        )


def test_special_tokens_have_no_frames(model):
    config = model.config
    ended = torch.cat([IDS, torch.full((2, 1), config.eos_token_id)], dim=1)
    outputs, plain = encode(model, input_ids=ended), encode(model, input_ids=IDS)
    assert not outputs.durations[:, -1].any()
    torch.testing.assert_close(outputs.last_hidden_state, plain.last_hidden_state, atol=1e-5, rtol=1e-5)


def test_speech_is_that_of_mslam():
    """The same weights without the text front end give the same states."""
    maestro = make_maestro()
    speech = torch.randn(1, 60, 80)
    ctc = MSLAMForCTC.from_pretraining(maestro)
    assert ctc.config.model_type == "mslam_ctc" and not hasattr(ctc.config, "refiner_config")
    with torch.no_grad():
        expected = maestro.model(speech).last_hidden_state
        assert torch.equal(ctc.model(speech).last_hidden_state, expected)
        logits = ctc(speech).logits[..., ctc.config.text_token_offset :]
        assert torch.equal(logits, maestro.ctc_head(expected)[..., ctc.config.text_token_offset :])


def test_recognition_by_its_transducer():
    """The encoder and both heads are copied; the losses of a pair are those of pre-training."""
    maestro = make_maestro()
    batch = make_maestro_batch(maestro.config, "c")
    model = MSLAMForRNNT.from_pretraining(maestro)
    inputs = {name: batch[name] for name in ("input_features", "attention_mask")}
    with torch.no_grad():
        expected = maestro(**batch).named_losses()
        sums = model(**inputs, labels=batch["ctc_labels"]).loss_sums / batch["text_attention_mask"].sum()
    assert sums.tolist() == pytest.approx([expected["rnnt"], expected["ctc"]], rel=1e-4)


def test_one_space_of_speech_and_text():
    """`SpeechTextEncoder` pools frames of both; text of any length."""
    processor = make_tiny_processor()
    tokenizer = processor.tokenizer
    config = make_maestro_config(
        vocab_size=len(tokenizer), num_speech_tokens=16, text_token_offset=tokenizer.text_token_offset
    )
    torch.manual_seed(0)
    encoder = SpeechTextEncoder(MaestroModel(config), processor)
    texts = encoder.encode_text(["a b", "a"])
    speech = encoder.encode_speech([np.sin(np.arange(8000) / 9).astype(np.float32)])
    assert texts.shape == (2, 16) and speech.shape == (1, 16)
    torch.testing.assert_close(encoder.encode_text(["a"])[0], texts[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_ids": IDS, "input_features": torch.zeros(2, 12, 80)}, "Maestro encodes speech or text, got both"),
        ({"input_ids": IDS, "sequence_ids": torch.ones_like(IDS)}, "a row of its own; pass padded rows"),
        ({"input_ids": IDS * torch.tensor([[1], [0]])}, "Text 1 of the batch has no tokens"),
        ({"input_ids": IDS, "durations": torch.ones(2, 3, dtype=torch.int64)}, r"here \(2, 4\).*got \(2, 3\)"),
        ({"input_ids": IDS, "durations": -torch.ones_like(IDS)}, "numbers of frames of at least 0"),
    ],
)
def test_wrong_inputs_are_refused(model, inputs, message):
    with pytest.raises(ValueError, match=message):
        encode(model, **inputs)


def test_durations_beyond_the_frames_are_refused():
    with pytest.raises(ValueError, match="add up to 5 frames, more than the 4 given"):
        resample(torch.randn(1, 2, 8), torch.tensor([[2, 3]]), num_frames=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refiner_config": {"hidden_size": 32}}, "refiner_config.hidden_size must be that of encoder_config, 16"),
        ({"num_speech_layers": 3}, "num_speech_layers must be between 1 and 2"),
        ({"alignment_ema_decay": 1.0}, "alignment_ema_decay must be at least 0 and below 1"),
        ({"ctc_input": "pair"}, "ctc_input must be 'speech'"),
        ({"max_frames_per_token": 0}, "max_frames_per_token must be at least 1"),
    ],
)
def test_wrong_configurations_are_refused(options, message):
    with pytest.raises(Exception, match=message):
        make_maestro_config(**options)


def test_the_defaults_are_the_paper():
    config = MaestroConfig()
    assert (config.num_speech_layers, config.num_shared_layers) == (6, 18)
    text, refiner = config.text_encoder_config, config.refiner_config
    assert (text.num_hidden_layers, text.conv_depthwise_kernel_size) == (6, 5)
    assert (refiner.num_hidden_layers, refiner.conv_depthwise_kernel_size) == (2, 17)
    assert text.hidden_size == refiner.hidden_size == config.encoder_config.hidden_size
    assert (config.transducer_config.hidden_size, config.transducer_config.joint_size) == (1280, 640)
