# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Recordings that are encoded in one pass, by the CTC part of the checkpoint of the package."""

import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from mu2slam_hf import (
    MSLAMConfig,
    MSLAMForCTC,
    Mu2SLAMForCTC,
    Mu2SLAMForRNNT,
    Mu2SLAMProcessor,
    Mu2SLAMRNNTConfig,
    default_checkpoint,
)
from mu2slam_hf.checkpoints import load_default
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.inference.recognition import WindowRecognizer
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMTransducerTokenizer
from tests.tiny_models import tiny_config

RATE = 16_000


@pytest.fixture(scope="module")
def pair():
    folder = default_checkpoint()
    model = Mu2SLAMForCTC.from_pretrained(folder).eval()
    model.set_attention_chunk(200)
    return model, Mu2SLAMProcessor.from_pretrained(folder).for_ctc()


@pytest.fixture(scope="module")
def recording(repository_root):
    names = ("vm-enter-num-to-call", "vm-tooshort")
    clips = [load_audio(repository_root / "examples" / "es" / f"{name}.opus") for name in names]
    gap = np.zeros(RATE, np.float32)
    return np.concatenate([part for clip in clips * 5 for part in (clip, gap)])


def transcribe(pair, recordings, **options):
    return list(transcribe_recordings(*pair, recordings, TranscriptionOptions(source_lang="es", **options)))


def test_the_text_is_the_best_path_of_one_pass(pair, recording):
    """The words of all segments are those of the best path through the whole recording, at its times."""
    model, processor = pair
    (transcript,) = transcribe(pair, [recording], whole_recording=True, timestamps="word")
    assert len(recording) > 20 * RATE and len(transcript.segments) > 5
    states = WindowRecognizer(model, processor).encode_whole(recording, "es")
    inputs = processor(audio=recording, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs, language_ids=torch.tensor([processor.language_row("es")])).logits[0]
    torch.testing.assert_close(model.compute_ctc_logits(states), logits, atol=1e-3, rtol=1e-3)
    best = " ".join(processor.batch_decode(logits.argmax(-1)[None], skip_special_tokens=True)[0].split())
    assert transcript.text.split() == best.split()
    spoken = logits.argmax(-1) != model.config.pad_token_id
    for word in transcript.words:
        first, stop = round(word.start_seconds / 0.04), round(word.end_seconds / 0.04)
        assert spoken[max(0, first - 1) : stop + 1].any()


def test_a_transducer_reads_the_states_of_one_pass(recording, monkeypatch):
    """A new transducer on the encoder of the checkpoint: the pieces that it reads are rows of the whole recording."""
    folder = default_checkpoint()
    sizes = {"hidden_size": 16, "num_layers": 1, "joint_size": 16, "max_symbols_per_frame": 1}
    values = Mu2SLAMForCTC.from_pretrained(folder).config.to_dict()
    values.pop("model_type")
    config = Mu2SLAMRNNTConfig(**values, transducer_config=sizes)
    model = Mu2SLAMForRNNT.from_pretrained(folder, config=config).eval()
    model.set_attention_chunk(200)
    processor = Mu2SLAMProcessor.from_pretrained(folder)
    processor.tokenizer = Mu2SLAMTransducerTokenizer.from_pretrained(folder)
    pieces, write_tokens = [], model.write_tokens

    def write_and_keep(states, *arguments, **options):
        pieces.extend(states)
        return write_tokens(states, *arguments, **options)

    monkeypatch.setattr(model, "write_tokens", write_and_keep)
    (transcript,) = transcribe((model, processor), [recording], whole_recording=True)
    whole = WindowRecognizer(model, processor).encode_whole(recording, "es")
    assert len(pieces) >= len(transcript.segments) and len(pieces) > 5
    for piece in pieces:
        (first,) = (whole == piece[0]).all(dim=-1).nonzero().flatten().tolist()
        assert torch.equal(whole[first : first + len(piece)], piece)


def test_windows_by_themselves_are_encoded_otherwise(pair, recording):
    whole = transcribe(pair, [recording], whole_recording=True)[0].text
    assert whole != transcribe(pair, [recording])[0].text


def test_channels_and_recordings_together(pair, recording):
    """Each channel has its own states, and recordings that are read together keep theirs."""
    first, second = recording[: 6 * RATE], recording[9 * RATE : 15 * RATE]
    stereo = {"array": np.stack([first, second], axis=1), "sampling_rate": RATE}
    expected = [one.text for one in transcribe(pair, [first, second], whole_recording=True, chunk_length_s=3.0)]
    (both,) = transcribe(pair, [stereo], whole_recording=True, split_channels=True, chunk_length_s=3.0)
    for channel in (0, 1):
        texts = [segment.text for segment in both.segments if segment.channel == channel]
        assert " ".join(texts).split() == expected[channel].split() != []


def test_models_that_cannot_are_refused(pair, recording):
    model, processor = pair
    with pytest.raises(ValueError, match="reads recordings in windows between pauses; only CTC models"):
        transcribe(load_default(), [recording], whole_recording=True)
    model.set_attention_chunk(None)
    try:
        with pytest.raises(ValueError, match=r"chunks of 8 seconds by .* model\.set_attention_chunk\(200\)"):
            transcribe(pair, [recording], whole_recording=True)
    finally:
        model.set_attention_chunk(200)
    config = tiny_config(conv_norm="group", attention_chunk_frames=20).encoder_config
    other = MSLAMForCTC.from_pretraining(MSLAMForCTC(MSLAMConfig(encoder_config=config, num_speech_layers=1)))
    with pytest.raises(ValueError, match="conv_norm 'group', .* use a model with conv_norm 'layer' or 'batch'"):
        transcribe((other, processor), [recording], whole_recording=True)


def test_the_command(pair, recording, tmp_path, capsys):
    from mu2slam_hf.cli import main

    model, processor = pair
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    soundfile.write(tmp_path / "long.wav", recording, RATE)
    options = ["transcribe", str(tmp_path / "long.wav"), "--from", "es", "--whole-recording", "--output-format", "txt"]
    assert main([*options, "--model", str(tmp_path / "model")]) == 0
    (expected,) = transcribe(pair, [tmp_path / "long.wav"], whole_recording=True)
    assert capsys.readouterr().out.split() == expected.text.split()
    # With the same chunks, for a checkpoint that was saved without any.
    model.set_attention_chunk(None)
    try:
        model.save_pretrained(tmp_path / "full")
    finally:
        model.set_attention_chunk(200)
    processor.save_pretrained(tmp_path / "full")
    assert main([*options, "--model", str(tmp_path / "full")]) != 0
    assert "by --attention-chunk 8 in the shell" in capsys.readouterr().err
    assert main([*options, "--model", str(tmp_path / "full"), "--attention-chunk", "8"]) == 0
    assert capsys.readouterr().out.split() == expected.text.split()
    assert main(options) != 0
    assert "only CTC models and transducers read a recording in one pass" in capsys.readouterr().err


@pytest.mark.slow
def test_an_hour_is_encoded_below_two_gigabytes():
    """In a process of its own, whose peak memory is that of the import, the recording and the model."""
    code = """
import re, pathlib, numpy as np
from mu2slam_hf import Mu2SLAMForCTC, Mu2SLAMProcessor, default_checkpoint
from mu2slam_hf.inference.recognition import WindowRecognizer
model = Mu2SLAMForCTC.from_pretrained(default_checkpoint()).eval()
model.set_attention_chunk(200)
processor = Mu2SLAMProcessor.from_pretrained(default_checkpoint()).for_ctc()
noise = 0.1 * np.random.default_rng(0).standard_normal(3600 * 16000, dtype=np.float32)
states = WindowRecognizer(model, processor).encode_whole(noise, "es")
print(len(states), re.search("VmHWM:\\\\s+([0-9]+)", pathlib.Path("/proc/self/status").read_text())[1])
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("peak memory is read from /proc, which only Linux has")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frames, kilobytes = map(int, re.findall("[0-9]+", done.stdout))
    assert frames == 90_000 and kilobytes * 1024 < 2e9
