# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Audio in every usual form becomes the same mono waveform; bad audio becomes an error that names it."""

import io
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import soundfile
import torch

from mu2slam_hf.models import modules_waveforms
from mu2slam_hf.models.modules_waveforms import check_sampling_rate, read_waveforms, resample_waveform

RATE = 16000


def sine(frequency: float, seconds: float, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def test_integer_types_are_scaled_by_their_full_scale():
    wave = sine(440, 0.1)
    forms = {
        "int16": (wave * 2**15).astype(np.int16),
        "int32": (wave * 2**31).astype(np.int32),
        "uint8": (wave * 2**7 + 128).astype(np.uint8),
        "int8": (wave * 2**7).astype(np.int8),
        "float32": wave.astype(np.float32),
        "float16": wave.astype(np.float16),
        "list": wave.tolist(),
        "tensor": torch.from_numpy(wave),
        "bfloat16": torch.from_numpy(wave).bfloat16(),
        "int16 tensor": torch.from_numpy((wave * 2**15).astype(np.int16)),
    }
    tolerance = {"int8": 1e-2, "uint8": 1e-2, "bfloat16": 3e-3, "float16": 3e-4, "int16": 1e-4, "int16 tensor": 1e-4}
    for name, form in forms.items():
        (read,) = read_waveforms(form, RATE, RATE)
        assert read.dtype == np.float64 and read.shape == wave.shape, name
        np.testing.assert_allclose(read, wave, atol=tolerance.get(name, 1e-7), err_msg=name)


def test_full_scale_negative_integers_are_minus_one():
    for dtype in (np.int8, np.int16, np.int32):
        (read,) = read_waveforms(np.array([np.iinfo(dtype).min, 0], dtype=dtype), RATE, RATE)
        assert read.tolist() == [-1.0, 0.0]
    (read,) = read_waveforms(np.array([0, 128], dtype=np.uint8), RATE, RATE)
    assert read.tolist() == [-1.0, 0.0]


def test_stereo_is_averaged_in_either_axis_order():
    left, right = sine(300, 0.1), sine(500, 0.1)
    for form in (np.stack([left, right]), np.stack([left, right], axis=1)):
        for audio in (form, [form], torch.from_numpy(form)):
            (read,) = read_waveforms(audio, RATE, RATE)
            np.testing.assert_allclose(read, (left + right) / 2)


def test_bare_array_with_many_rows_is_a_batch():
    rows = np.stack([sine(300 + 100 * k, 0.1) for k in range(3)])
    assert len(read_waveforms(rows, RATE, RATE)) == 3
    assert len(read_waveforms(list(rows[:2]), RATE, RATE)) == 2
    assert len(read_waveforms(rows[:1], RATE, RATE)) == 1
    assert len(read_waveforms(rows.tolist(), RATE, RATE)) == 3


def test_mapping_carries_its_own_rate():
    (read,) = read_waveforms({"array": sine(440, 1.0, 8000), "sampling_rate": 8000}, None, RATE)
    assert read.shape == (16000,)
    first, second = read_waveforms([{"raw": sine(440, 1.0, 48000), "sampling_rate": 48000}, sine(1, 1)], RATE, RATE)
    assert first.shape == second.shape == (16000,)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_resampling_keeps_a_sine(rate):
    (read,) = read_waveforms(sine(440, 1.0, rate), rate, RATE)
    assert abs(read.shape[0] - RATE) <= 1
    middle = slice(2000, 14000)
    np.testing.assert_allclose(read[middle], sine(440, 1.0)[middle], atol=2e-3)


def test_one_sample_survives_any_rate():
    assert read_waveforms(np.array([0.5]), 96000, RATE)[0].shape[0] >= 1
    assert resample_waveform(np.array([0.5]), RATE, RATE).tolist() == [0.5]


def test_missing_resampler_is_explained(monkeypatch):
    monkeypatch.setattr(modules_waveforms, "soxr", None)
    with pytest.raises(ValueError, match="pip install soxr"):
        read_waveforms(sine(440, 0.1), 8000, RATE)
    read_waveforms(sine(440, 0.1), RATE, RATE)


BAD_RECORDINGS = {
    "empty": (np.zeros(0, dtype=np.float32), "empty"),
    "empty stereo": (np.zeros((0, 2), dtype=np.float32), "empty"),
    "nan": (np.array([0.0, np.nan, 0.1]), "sample 1 of 3 is NaN"),
    "inf": (np.array([0.0, 0.1, -np.inf]), "sample 2 of 3 is infinite"),
    "text": ("hello.wav", "str .*but audio samples are expected"),
    "bytes": (b"RIFF", "bytes .*but audio samples are expected"),
    "none": (None, "expected an array of samples"),
    "number": (3.0, "expected an array of samples"),
    "int64": (np.zeros(5, dtype=np.int64), "int64"),
    "bool": (np.zeros(5, dtype=bool), "bool"),
    "complex": (np.zeros(5, dtype=complex), "complex"),
    "strings": (np.array(["a", "b"]), "expected float16"),
    "objects": (np.array([None, 1.0]), "object"),
    "three axes": (np.zeros((2, 3, 100)), r"shape \(2, 3, 100\)"),
    "matrix": (np.zeros((80, 100)), r"shape \(80, 100\)"),
    "square": (np.zeros((4, 4)), r"shape \(4, 4\)"),
    "unscaled": (np.array([0.0, 12000.0]), "32768"),
    "mapping": ({"sampling_rate": 16000}, "`bytes` or `path`"),
    "missing file": ({"path": "x.wav"}, r"\(x.wav\): no such file"),
    "no audio": ({"bytes": b"12345", "path": "x.wav"}, r"\(x.wav\): this is text, not audio"),
    "ragged": ([[0.0, 0.1], [0.1]], "cannot be converted"),
}


@pytest.mark.parametrize("name", BAD_RECORDINGS)
def test_bad_recording_is_named_with_its_reason(name):
    bad, reason = BAD_RECORDINGS[name]
    with pytest.raises(ValueError, match=r"audio\[1\].*" + reason):
        read_waveforms([sine(440, 0.1), bad], RATE, RATE)


@pytest.mark.parametrize("audio", [[], (), "file.wav", None, b"abc", np.zeros((2, 3, 100)), np.zeros(0), object()])
def test_bad_audio_alone(audio):
    with pytest.raises(ValueError, match="audio"):
        read_waveforms(audio, RATE, RATE)


@pytest.mark.parametrize("rate", [0, -16000, float("nan"), float("inf"), "16000", True, 16, 44.1])
def test_bad_rates(rate):
    with pytest.raises(ValueError, match="sampling_rate"):
        check_sampling_rate(rate)


class Decoder:
    """What datasets returns for a row where torchcodec is installed: samples `(channels, n)`, and no mapping."""

    def __init__(self, samples, rate):
        self.samples, self.rate = samples, rate

    def get_all_samples(self):
        if self.rate is None:
            raise RuntimeError("broken stream")
        return SimpleNamespace(data=torch.from_numpy(self.samples), sample_rate=self.rate)


def wav_bytes(samples: np.ndarray, rate: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


@pytest.mark.parametrize("length", [1, 2, 800])
def test_rows_of_audio_columns(length, tmp_path):
    """The channels are known, also where a recording is shorter than its number of channels."""
    stereo = np.random.default_rng(0).uniform(-1, 1, (length, 2)).astype(np.float32)
    expected = read_waveforms([{"array": stereo.mean(1), "sampling_rate": 8000}], None, RATE)[0]
    data = wav_bytes(stereo, 8000)
    (tmp_path / "a.wav").write_bytes(data)
    rows = [{"bytes": data, "path": None}, {"bytes": None, "path": str(tmp_path / "a.wav")}]
    rows += [{"bytes": data, "path": "elsewhere.wav"}, Decoder(stereo.T.copy(), 8000)]
    for row in rows:
        assert np.allclose(read_waveforms(row, None, RATE)[0], expected, atol=1e-6)
    # Their own rate counts, not that of the call.
    assert all(np.allclose(one, expected, atol=1e-6) for one in read_waveforms(rows, 44100, RATE))


def test_rows_of_a_data_set_without_torchcodec(tmp_path):
    files = []
    for index, frequency in enumerate((440, 880)):
        files.append(str(tmp_path / f"{index}.wav"))
        soundfile.write(files[-1], sine(frequency, 0.1), RATE)
    column = datasets.Dataset.from_dict({"audio": files}).cast_column("audio", datasets.Audio(decode=False))
    for row, frequency in zip(column, (440, 880), strict=True):
        assert np.allclose(read_waveforms(row["audio"], None, RATE)[0], sine(frequency, 0.1), atol=1e-4)
    assert len(read_waveforms(column["audio"], None, RATE)) == 2


def test_a_decoder_that_fails():
    with pytest.raises(ValueError, match=r"audio\[0\]: the decoder Decoder failed \(broken stream\)"):
        read_waveforms(Decoder(np.zeros((1, 8)), None), None, RATE)
