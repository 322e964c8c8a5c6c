# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Files are decoded to the true end of the stream, and never used shorter without a warning."""

import io
import logging
import os
import shutil
import struct
import subprocess

import numpy as np
import pytest
import soundfile as sf
from mpeg_audio import ENCODINGS, encode_mpeg, mpeg_seconds, sounds

from mu2slam_hf.data.audio_sources import read_audio_source
from mu2slam_hf.models import modules_audio_decoders, modules_audio_packets
from mu2slam_hf.models.modules_audio_decoders import AudioError
from mu2slam_hf.models.modules_audio_files import measure_audio_file, read_audio_file, read_audio_format

RATE = 16_000
CHANGES = {
    "whole": lambda data: data,
    "joined": lambda data: data + data,
    "joined_with_another_rate": lambda data: data + encode_mpeg("mp3_bare_16k"),
    "without_100_bytes": lambda data: data[:-100],
}


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_mpeg_audio_is_read_to_its_end(tmp_path, encoding, change):
    data = CHANGES[change](encode_mpeg(encoding))
    expected = mpeg_seconds(data)
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data)):
        assert len(read_audio_source(source, RATE)) / RATE == pytest.approx(expected, abs=0.1)
    whole, rate = read_audio_file(path, "a.mp3")
    assert measure_audio_file(path, "a.mp3") == len(whole) / rate
    if change != "joined_with_another_rate":
        assert read_audio_format(path, "a.mp3") == ENCODINGS[encoding][1:3]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_parts_of_mpeg_audio_are_those_of_the_whole(encoding):
    data = encode_mpeg(encoding)
    whole, rate = read_audio_file(data, "a")
    for start, stop in ((0, 500), (rate + 7, 2 * rate), (2 * rate + 1, 10 * rate)):
        part, _ = read_audio_file(data, "a", start / rate, stop / rate)
        assert part.shape == whole[start:stop].shape
        assert np.abs(part - whole[start:stop]).max() < 1e-3
    with pytest.raises(AudioError, match=r"no samples from 9.00 s to 10.00 s, the recording has 3\.\d\d s"):
        read_audio_file(data, "a", 9.0, 10.0)


def test_a_header_that_states_more_than_there_is_warns(caplog):
    data = encode_mpeg("mp3")
    read_audio_source(data, RATE)
    assert warnings_of(caplog) == []
    cut = data[: len(data) // 2]
    assert len(read_audio_source(cut, RATE, name="talk.mp3")) / RATE == pytest.approx(mpeg_seconds(cut), abs=0.1)
    (message,) = warnings_of(caplog)
    assert message.startswith("talk.mp3: the file is corrupted or truncated (3.00 s by its header, got 1.")


def test_without_pyav_mpeg_audio_is_not_cut_silently(monkeypatch, caplog):
    monkeypatch.setattr(modules_audio_packets, "av", None)
    data = encode_mpeg("mp3_variable_bare")
    assert len(read_audio_source(data, RATE, name="talk.mp3")) / RATE < mpeg_seconds(data) - 0.5
    (message,) = warnings_of(caplog)
    assert message.startswith("talk.mp3: without the package av (pip install av), MPEG audio")


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *[("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
        *((name, "PCM_16") for name in ("WAV", "RF64", "W64", "AIFF", "AU", "CAF")),
    ],
)
@pytest.mark.parametrize("has_pyav", [True, False])
def test_truncated_files_are_used_with_a_warning(monkeypatch, caplog, format, subtype, has_pyav):
    if not has_pyav:
        monkeypatch.setattr(modules_audio_packets, "av", None)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 70 * 8000).astype(np.float32)
    file = io.BytesIO()
    sf.write(file, noise, 8000, format=format, subtype=subtype)
    whole = read_audio_source(file.getvalue(), 8000)
    assert warnings_of(caplog) == []
    data = file.getvalue()[: len(file.getvalue()) * 8 // 10]
    if format == "CAF" and not has_pyav:
        with pytest.raises(AudioError, match="the file is truncated: "):
            read_audio_source(data, 8000, name="talk")
        return
    samples = read_audio_source(data, 8000, name="talk")
    # libsndfile loses what it has of a block when it finds the end missing.
    fraction = 0.8 if has_pyav or format != "FLAC" else 30 / 70
    assert len(samples) == pytest.approx(fraction * len(whole), rel=0.03)
    assert np.abs(samples - whole[: len(samples)]).max() < 1e-4
    (message,) = warnings_of(caplog)
    assert message.startswith("talk: the file is corrupted or truncated (")
    assert message.endswith(f"the {len(samples) / 8000:.2f} s that can be decoded are used")
    assert measure_audio_file(data, "talk") == len(samples) / 8000


def test_sound_after_damage_is_decoded(caplog):
    file = io.BytesIO()
    samples = 0.1 * np.sin(np.arange(20 * RATE) / 5)
    sf.write(file, samples, RATE, format="FLAC")
    data = bytearray(file.getvalue())
    middle = len(data) // 2
    data[middle : middle + 100] = bytes(100)
    read = read_audio_source(bytes(data), RATE)
    assert len(read) == pytest.approx(20 * RATE, abs=2 * RATE) and len(warnings_of(caplog)) == 1
    assert np.abs(read[-RATE:] - samples[-RATE:]).max() < 1e-3


PROGRAMS = {
    "lame -t": "lame --quiet -t -b 128 in.wav a.mp3",
    "lame -t -V": "lame --quiet -t -V 4 in.wav a.mp3",
    "lame -t --abr": "lame --quiet -t --abr 96 in.wav a.mp3",
    "lame": "lame --quiet -b 128 in.wav a.mp3",
    "lame -V": "lame --quiet -V 4 in.wav a.mp3",
    "sox": "sox in.wav -C 64 a.mp3",
    "ffmpeg": "ffmpeg -loglevel error -i in.wav -q:a 4 a.mp3",
    "ffmpeg -write_xing 0": "ffmpeg -loglevel error -i in.wav -q:a 4 -write_xing 0 a.mp3",
    "ffmpeg mp2": "ffmpeg -loglevel error -i in.wav a.mp2",
}


@pytest.mark.parametrize("change", ["whole", "joined", "without_100_bytes"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_files_of_real_programs_have_the_length_of_ffmpeg(tmp_path, program, change):
    missing = [name for name in {program.split()[0], "ffmpeg"} if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    sf.write(tmp_path / "in.wav", sounds(44_100), 44_100)
    subprocess.run(PROGRAMS[program].split(), cwd=tmp_path, check=True)
    (path,) = tmp_path.glob("a.*")
    path.write_bytes(CHANGES[change](path.read_bytes()))
    command = ["ffmpeg", "-loglevel", "quiet", "-i", path, "-ac", "1", "-ar", "44100", "-f", "s16le", "-"]
    expected = len(subprocess.run(command, capture_output=True, check=True).stdout) / 2 / 44_100
    assert len(read_audio_source(path, RATE)) / RATE == pytest.approx(expected, abs=0.1)


def wav_file(format_tag=1, rate=16_000, bits=16):
    """A WAV file of a second of 16 kHz, whose header may say something else."""
    data = (np.sin(np.arange(16_000) * 0.3) * 8000).astype("<i2").tobytes()
    header = struct.pack("<IHHIIHH", 16, format_tag, 1, rate, rate * bits // 8, bits // 8, bits)
    length = struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + header + b"data" + length + data


@pytest.mark.parametrize("tag", [0, 3, 0xFFFF])
def test_an_unknown_codec_is_an_error_of_the_file(tag):
    with pytest.raises(AudioError, match=r"x\.wav: cannot be decoded as audio"):
        read_audio_source(wav_file(format_tag=tag), 16_000, name="x.wav")


@pytest.mark.parametrize("rate", [1, 7, 100, 999])
def test_impossible_sampling_rates_are_refused(rate):
    with pytest.raises(AudioError, match=f"has a sampling rate of {rate} Hz"):
        read_audio_source(wav_file(rate=rate), 16_000, name="x.wav")
    assert len(read_audio_source(wav_file(rate=1000), 16_000)) == 256_000


def test_headers_that_lead_before_the_beginning_print_no_traceback():
    """libsndfile calls `seek` with a negative place; cffi would print the error, and go on."""
    file = io.BytesIO(b"RIFF")
    clamped = modules_audio_decoders._ClampedFile(file)
    assert clamped.seek(-1) == 0 and clamped.seek(-9, os.SEEK_CUR) == 0 and clamped.seek(-1, os.SEEK_END) == 3
    assert clamped.read() == b"F" and clamped.tell() == 4
