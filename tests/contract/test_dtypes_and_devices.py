# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A model in any float type takes the float32 output of the processor, and loads where transformers places it."""

import pytest
import torch
from helpers import save_tiny_checkpoint
from tiny_models import speech_batch, text_ids, tiny_config, tiny_model
from transformers import AutoModelForSpeechSeq2Seq, pipeline

from mu2slam_hf import MSLAMConfig, MSLAMModel, Mu2SLAMForAudioClassification, Mu2SLAMForCTC, Mu2SLAMProcessor

DTYPES = [torch.float16, torch.bfloat16, torch.float64]
FRONTENDS = {
    "conv2d": speech_batch([90, 50]),
    "waveform": {"input_values": torch.randn(2, 9000), "attention_mask": torch.ones(2, 9000).long()},
    "stacked_frames": {"input_features": torch.randn(2, 60, 160), "attention_mask": torch.ones(2, 60).long()},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_float32_inputs_of_a_model_in_another_type(frontend, dtype):
    model, batch = tiny_model(frontend=frontend).to(dtype), FRONTENDS[frontend]
    labels = {"labels": text_ids(2, 4), "ctc_labels": text_ids(2, 2), "source_language_labels": torch.tensor([1, 2])}
    loss = model(**batch, **labels).loss
    loss.backward()
    assert torch.isfinite(loss)
    embeds = {"inputs_embeds": torch.randn(2, 4, 64)}
    for source in (batch, {"input_ids": text_ids(2, 4)}, embeds):
        for options in ({}, {"num_beams": 2}, {"ctc_weight": 0.5, "source_lang": "en"}):
            ids = model.generate(**source, **{"target_lang": "en", **options}, max_new_tokens=3)
            assert ids.shape[0] == 2
    with torch.no_grad():
        encoded = model.get_encoder()(**batch)
        assert encoded.last_hidden_state.dtype == dtype
        encoded.last_hidden_state = encoded.last_hidden_state.float()
        assert model.generate(encoder_outputs=encoded, max_new_tokens=3).shape[0] == 2
        decoder_inputs = torch.randn(2, 3, 64)
        assert model(**batch, decoder_inputs_embeds=decoder_inputs).logits.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_float32_inputs_of_other_models_in_another_type(dtype):
    batch = FRONTENDS["conv2d"]
    ctc = Mu2SLAMForCTC.from_conditional_generation(tiny_model()).to(dtype)
    assert torch.isfinite(ctc(**batch, labels=text_ids(2, 2)).loss)
    classifier = Mu2SLAMForAudioClassification(tiny_config()).to(dtype)
    assert torch.isfinite(classifier(**batch, labels=torch.tensor([0, 1])).loss)
    encoder_config = {**tiny_config().encoder_config.to_dict(), "num_hidden_layers": 2}
    encoder = MSLAMModel(MSLAMConfig(encoder_config=encoder_config, num_speech_layers=1)).to(dtype)
    assert encoder(**batch).last_hidden_state.dtype == dtype
    assert encoder(inputs_embeds=torch.randn(2, 4, 64)).last_hidden_state.dtype == dtype


@pytest.mark.parametrize("placement", ["auto", {"": "cpu"}, "cpu"])
def test_device_maps(placement, tmp_path):
    folder = save_tiny_checkpoint(tmp_path)
    processor = Mu2SLAMProcessor.from_pretrained(folder)
    inputs = processor(audio=torch.randn(9000).mul(0.1).numpy(), sampling_rate=16000)
    plain = AutoModelForSpeechSeq2Seq.from_pretrained(folder)
    placed = AutoModelForSpeechSeq2Seq.from_pretrained(folder, device_map=placement)
    options = {"source_lang": "en", "max_new_tokens": 4, "num_beams": 1}
    expected = plain.generate(**inputs, **options)
    assert torch.equal(placed.generate(**inputs.to(placed.device), **options).cpu(), expected)


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"torch_dtype": torch.float16}, {"dtype": torch.float64}])
def test_dtypes_of_the_pipeline(options, tmp_path):
    recognizer = pipeline(
        "automatic-speech-recognition", model=save_tiny_checkpoint(tmp_path), device="cpu", **options
    )
    assert str(recognizer.model.dtype).endswith(str(next(iter(options.values()))).removeprefix("torch."))
    waveform = torch.randn(9000).mul(0.1).numpy()
    assert isinstance(recognizer(waveform, generate_kwargs={"max_new_tokens": 3})["text"], str)
