# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The synthesizer: lengths, batches, errors, and the processor that holds it."""

import numpy as np
import pytest
import torch
from foreign_tokenizers import make_speech
from helpers import make_tiny_processor, run_python
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModel

from mu2slam_hf import Mu2SLAMProcessor, SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.models.configuration_speech_synthesizer import VOCODERS, SpeechSynthesizerConfig
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
VOICES = {
    "languages": ["und", "es", "fr"],
    "speakers": ["und", "ana", "luc"],
    "default_speakers": {"es": "ana", "fr": "luc"},
}


def make_synthesizer(**options):
    torch.manual_seed(0)
    vocoder = {"istft": {"hidden_size": 16, "num_hidden_layers": 1}, "hifigan": {"upsample_initial_channel": 32}}
    values = {
        "num_speech_tokens": 16,
        "encoder_config": SMALL,
        "frame_config": {"hidden_size": 16, "num_hidden_layers": 1},
        "vocoder_config": vocoder.get(options.get("vocoder")),
        "griffin_lim_passes": 2,
        **VOICES,
    }
    return SpeechSynthesizerModel(SpeechSynthesizerConfig(**{**values, **options})).eval()


@pytest.mark.parametrize("vocoder", VOCODERS)
@pytest.mark.parametrize("length", [1, 2, 33, 200])
def test_an_id_is_640_samples(vocoder, length):
    model = make_synthesizer(vocoder=vocoder)
    waveform = model.synthesize(torch.arange(length)[None] % 16)
    assert waveform.shape == (1, 640 * length) and waveform.dtype == torch.float32 and waveform.isfinite().all()


def test_a_row_alone_and_beside_longer_ones():
    model = make_synthesizer()
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(2, 60, dtype=torch.int64)
    mask[1, 7:] = 0
    ids = torch.randint(0, 16, (2, 60), generator=generator)
    ids[1, 7:] = 10**6
    rows = {"language_ids": torch.tensor([1, 2]), "speaker_ids": torch.tensor([1, 2])}
    together = model.synthesize(ids, mask, **rows)
    alone = model.synthesize(ids[1:, :7], **{name: values[1:] for name, values in rows.items()})
    torch.testing.assert_close(together[1:, : 7 * 640], alone, atol=1e-4, rtol=1e-3)
    assert not together[1, 7 * 640 :].any()
    other = model.synthesize(ids, mask)
    assert not torch.allclose(other, together)  # the voice is heard


def test_every_weight_has_a_gradient():
    model = make_synthesizer(vocoder="istft").train()
    ids = torch.randint(0, 16, (2, 9), generator=torch.Generator().manual_seed(2))
    rows = torch.tensor([1, 2])
    outputs = model(ids, language_ids=rows, speaker_ids=rows, labels=torch.randn(2, 36, 80))
    (outputs.log_mel.square().sum() + outputs.waveforms.square().sum()).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_saved_loaded_and_loaded_without_an_import(tmp_path):
    model = make_synthesizer(vocoder="istft")
    model.save_pretrained(tmp_path)
    ids = torch.arange(5)[None]
    assert torch.equal(AutoModel.from_pretrained(tmp_path).synthesize(ids), model.synthesize(ids))
    code = (
        "import sys, mu2slam_hf; from transformers import AutoModel; "
        "print(AutoModel.from_pretrained(sys.argv[1]).config.vocoder)"
    )
    assert "istft" in run_python(code, str(tmp_path)).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocoder": "wavenet"}, "vocoder"),
        ({"griffin_lim_momentum": 1.0}, "griffin_lim_momentum must be at least 0 and below 1"),
        ({"languages": ["es"]}, "languages must begin with 'und'"),
        ({"default_speakers": {"es": "eva"}}, "default_speakers has es: eva"),
        ({"features": {"hop_length": 200}}, "four frames for each id"),
        ({"vocoder": "hifigan", "vocoder_config": {"upsample_rates": [4, 4]}}, "multiply to the 160 samples"),
    ],
)
def test_values_without_a_model(options, message):
    with pytest.raises(StrictDataclassError, match=message):
        make_synthesizer(**options)


def test_ids_outside_the_codebook():
    model = make_synthesizer()
    with pytest.raises(ValueError, match="Speech id 16 is outside the codebook .* 16 entries"):
        model.synthesize(torch.tensor([[3, 16]]))


@pytest.fixture
def processor():
    processor = make_tiny_processor()
    torch.manual_seed(0)
    processor.set_speech_tokenizer(SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16)))
    processor.set_speech_synthesizer(make_synthesizer())
    return processor


def test_a_processor_makes_sound_of_the_ids_that_it_writes(processor, tmp_path):
    waves = [make_speech(16000), make_speech(5000)]
    ids = processor.encode_speech(waves, sampling_rate=16000)
    sounds = processor.decode_speech(ids, lang=["es", None])
    assert [len(sound) for sound in sounds] == [640 * 25, 640 * 8]
    assert isinstance(sounds[0], np.ndarray) and sounds[0].dtype == np.float32
    # Alone as in a batch; special tokens are left out; the voice of the language is the usual one.
    alone = processor.decode_speech([processor.tokenizer.bos_token_id, *ids[1], processor.tokenizer.eos_token_id])
    np.testing.assert_allclose(alone, sounds[1], atol=1e-4)
    named = processor.decode_speech(torch.tensor(ids[0]), lang="es", speaker="ana")
    np.testing.assert_allclose(named, sounds[0], atol=1e-4)
    assert np.abs(processor.decode_speech(ids[0], lang="es", speaker="luc") - named).max() > 1e-4
    processor.save_pretrained(tmp_path)
    loaded = Mu2SLAMProcessor.from_pretrained(tmp_path)
    assert np.array_equal(loaded.decode_speech(ids[0], lang="es"), processor.decode_speech(ids[0], lang="es"))


def test_what_cannot_be_made_audible_is_said(processor):
    ids = processor.encode_speech(make_speech(16000), sampling_rate=16000)
    with pytest.raises(ValueError, match="is the id of 'a', not of speech"):
        processor.decode_speech([*ids[0], processor.tokenizer.convert_tokens_to_ids("a")])
    with pytest.raises(ValueError, match="Item 0 has no speech ids"):
        processor.decode_speech([processor.tokenizer.eos_token_id])
    with pytest.raises(ValueError, match="speaker 'eva' is not a voice of this synthesizer.*ana, luc"):
        processor.decode_speech(ids[0], speaker="eva")
    with pytest.raises(ValueError, match=r"es \(Spanish\), fr"):
        processor.decode_speech(ids[0], lang="de")
    with pytest.raises(ValueError, match="has 8 entries, that of the speech ids 16"):
        processor.set_speech_synthesizer(make_synthesizer(num_speech_tokens=8))
    processor.set_speech_synthesizer(None)
    with pytest.raises(ValueError, match="mu2slam train --recipe speech_synthesizer/prompts5"):
        processor.decode_speech(ids[0])
