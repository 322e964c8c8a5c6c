# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Texts and recordings made audible: in Python, by the command and by the pipeline of transformers."""

import numpy as np
import pytest
import soundfile
import torch
from helpers import REPOSITORY_ROOT, make_tiny_pair
from transformers import pipeline

from mu2slam_hf import Mu2SLAMFeatureExtractor, Mu2SLAMProcessor, SpeechTokenizerConfig, SpeechTokenizerModel
from mu2slam_hf.cli import main
from mu2slam_hf.inference.pipelines.speech_output import speak, speak_again, write_recording
from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
from mu2slam_hf.models.processing_speech_output import SpeechSynthesizerProcessor

RECORDING = REPOSITORY_ROOT / "examples" / "es" / "vm-tooshort.opus"
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def make_synthesizer():
    torch.manual_seed(0)
    config = SpeechSynthesizerConfig(
        num_speech_tokens=16,
        languages=["und", "en", "es"],
        speakers=["und", "ana"],
        default_speakers={"es": "ana"},
        encoder_config=SMALL,
        frame_config={**SMALL, "num_attention_heads": 1},
        griffin_lim_passes=2,
    )
    return SpeechSynthesizerModel(config).eval()


def make_tokenizer():
    torch.manual_seed(0)
    return SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=16)).eval()


@pytest.fixture(scope="module")
def pair():
    model, processor = make_tiny_pair()
    processor.set_speech_tokenizer(make_tokenizer())
    processor.set_speech_synthesizer(make_synthesizer())
    return model, processor


@pytest.fixture(scope="module")
def folder(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("speaks")
    for part in pair:
        part.save_pretrained(folder)
    return str(folder)


def test_a_text_is_the_sound_of_the_ids_that_the_model_writes(pair):
    model, processor = pair
    options = {"source_lang": "es", "max_new_tokens": 9}
    waveform = speak(model, processor, "hola", **options)
    inputs = processor(text=["hola"], return_tensors="pt")
    ids = model.generate(**inputs, task="tts", target_lang="es", **options)[0].tolist()
    np.testing.assert_array_equal(waveform, processor.decode_speech(ids, lang="es"))
    written = [index for index in ids if index not in processor.tokenizer.all_special_ids]
    assert waveform.shape == (640 * len(written),) and waveform.dtype == np.float32 and len(written) >= 8
    assert (
        processor.tokenizer.speech_token_offset <= min(written)
        and max(written) < processor.tokenizer.text_token_offset
    )


def test_runs_of_equal_ids_are_not_cut(pair):
    """The limit of repetitions in the generation configuration is for texts."""
    model, processor = pair
    favourite = processor.tokenizer.speech_token_offset + 3
    before = model.lm_head.bias.detach().clone()
    model.generation_config.max_repeats = 2
    try:
        with torch.no_grad():
            model.lm_head.bias[favourite] += 50.0
        waveform = speak(model, processor, "hola", source_lang="es", max_new_tokens=40)
        cut = speak(model, processor, "hola", source_lang="es", max_new_tokens=40, max_repeats=2)
    finally:
        model.generation_config.max_repeats = None
        with torch.no_grad():
            model.lm_head.bias.copy_(before)
    assert len(waveform) >= 39 * 640 > len(cut)


def test_a_recording_in_another_language_and_through_its_ids(pair):
    model, processor = pair
    other = speak(model, processor, {"audio": str(RECORDING)}, source_lang="es", target_lang="en", max_new_tokens=6)
    assert 0 < len(other) <= 6 * 640
    again = speak_again(processor, str(RECORDING), source_lang="es")
    samples = len(soundfile.read(RECORDING)[0]) * 16000 / soundfile.info(RECORDING).samplerate
    assert abs(len(again) - samples) <= 640 and len(again) % 640 == 0
    assert not np.array_equal(again, speak_again(processor, str(RECORDING), source_lang="en"))


def test_what_is_missing_is_said(pair):
    model, processor = pair
    with pytest.raises(ValueError, match="the text is empty"):
        speak(model, processor, " ", source_lang="es")
    bare = make_tiny_pair()[1]
    for call in (lambda: speak(model, bare, "hola"), lambda: speak_again(bare, str(RECORDING))):
        with pytest.raises(
            ValueError, match="no speech synthesizer.*mu2slam train --recipe speech_synthesizer/prompts5"
        ):
            call()
    bare.set_speech_synthesizer(make_synthesizer())
    with pytest.raises(ValueError, match="no speech tokenizer"):
        speak_again(bare, str(RECORDING))


def test_files_have_the_format_of_their_ending(tmp_path):
    wave = np.sin(np.arange(1600) / 10).astype(np.float32) * 0.5
    for ending in ("wav", "flac", "ogg"):
        write_recording(tmp_path / f"a.{ending}", wave)
        samples, rate = soundfile.read(tmp_path / f"a.{ending}")
        assert rate == 16000 and np.abs(samples[:1600] - wave).mean() < 0.05
    with pytest.raises(ValueError, match=r"unknown format xyz; use \.wav"):
        write_recording(tmp_path / "a.xyz", wave)
    assert len(list(tmp_path.iterdir())) == 3


def test_the_command(folder, tmp_path, capsys):
    output = tmp_path / "a.wav"
    options = ["--model", folder, "--from", "es", "--output-file", str(output)]
    assert main(["speak", "hola", *options, "--max-new-tokens", "5"]) == 0
    assert "a.wav (0." in capsys.readouterr().out and soundfile.info(output).samplerate == 16000
    assert main(["speak", "hola", *options]) == 1
    assert "exists already; pass --replace" in capsys.readouterr().err
    assert main(["speak", "--recording", str(RECORDING), *options, "--replace"]) == 0
    assert (
        main(["speak", "--recording", str(RECORDING), *options, "--replace", "--to", "en", "--max-new-tokens", "5"])
        == 0
    )
    for arguments, message in [
        (["speak", *options], "pass TEXT, or --recording FILE"),
        (["speak", "a", *options, "--to", "en,it"], "one file has one language"),
        (["speak", "a", *options, "--replace", "--speaker", "eva"], "speaker 'eva' is not a voice"),
        (["speak", "a", "--output-file", str(tmp_path / "a.xyz")], "unknown format xyz"),
        (["speak", "a", "--from", "es", "--output-file", str(tmp_path / "b.wav")], "no speech synthesizer"),
    ]:
        assert main(arguments) == 1
        assert message in capsys.readouterr().err


def test_a_synthesizer_alone_speaks_recordings(tmp_path, capsys):
    make_synthesizer().save_pretrained(tmp_path / "synthesizer")
    SpeechSynthesizerProcessor(Mu2SLAMFeatureExtractor(), make_tokenizer()).save_pretrained(tmp_path / "synthesizer")
    options = ["--model", str(tmp_path / "synthesizer"), "--output-file", str(tmp_path / "a.flac")]
    assert main(["speak", "--recording", str(RECORDING), "--from", "es", *options]) == 0
    assert soundfile.info(tmp_path / "a.flac").frames % 640 == 0
    capsys.readouterr()
    assert main(["speak", "hola", *options, "--replace"]) == 1
    assert "texts need a model that writes speech ids" in capsys.readouterr().err


def test_the_pipeline_of_transformers(folder, pair):
    speaks = pipeline("text-to-audio", model=folder)
    result = speaks("hola", generate_kwargs={"source_lang": "es", "max_new_tokens": 5})
    assert result["sampling_rate"] == 16000
    np.testing.assert_allclose(result["audio"], speak(*pair, "hola", source_lang="es", max_new_tokens=5), atol=1e-5)
    several = speaks(["hola", "adios"], generate_kwargs={"target_lang": "en", "max_new_tokens": 3})
    assert [item["sampling_rate"] for item in several] == [16000, 16000]


def test_the_processor_is_loaded_with_its_synthesizer(folder):
    processor = Mu2SLAMProcessor.from_pretrained(folder)
    assert processor.speech_synthesizer.config.speakers == ["und", "ana"]
