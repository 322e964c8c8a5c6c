# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import io
import pickle

import numpy as np
import pytest
import soundfile as sf
import torch

from mu2slam_hf.data.audio import AudioCache, AudioError, audio_duration_seconds, load_audio


def tone(rate=16_000, seconds=0.5, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def write(path, samples, rate=16_000, **kwargs):
    sf.write(path, samples, rate, **kwargs)
    return path


@pytest.mark.parametrize(
    ("name", "kwargs", "tolerance"),
    [
        ("a.wav", {"subtype": "PCM_16"}, 1e-4),
        ("a.wav", {"subtype": "PCM_U8"}, 1e-2),
        ("a.wav", {"subtype": "FLOAT"}, 1e-6),
        ("a.flac", {}, 1e-4),
        ("a.ogg", {"format": "OGG", "subtype": "OPUS"}, 0.1),
        ("a.mp3", {}, 0.1),
    ],
)
def test_formats_and_sources_agree(tmp_path, name, kwargs, tolerance):
    path = write(tmp_path / name, tone(), **kwargs)
    from_path = load_audio(path)
    assert from_path.dtype == np.float32 and from_path.ndim == 1
    assert abs(len(from_path) - 8000) <= 2400  # mp3 pads
    middle = slice(2000, 6000)
    if name != "a.mp3":
        assert np.abs(from_path[middle] - tone()[middle]).max() < tolerance
    data = path.read_bytes()
    for source in (
        str(path),
        data,
        bytearray(data),
        io.BytesIO(data),
        {"path": str(path)},
        {"bytes": data, "path": "x"},
    ):
        assert (load_audio(source) == from_path).all()
    with path.open("rb") as file:
        assert (load_audio(file) == from_path).all()
    assert audio_duration_seconds(path) == pytest.approx(len(from_path) / 16_000)
    assert audio_duration_seconds(data) == pytest.approx(len(from_path) / 16_000)


def test_rates_and_channels_keep_the_tone(tmp_path):
    for rate in (8_000, 44_100, 96_000):
        stereo = np.stack([tone(rate), np.zeros_like(tone(rate))], axis=1)
        samples = load_audio(write(tmp_path / "s.wav", stereo, rate))
        assert len(samples) == 8000
        spectrum = np.abs(np.fft.rfft(samples))
        assert np.argmax(spectrum) * 2 == 440
        assert np.abs(samples[1000:-1000] - 0.5 * tone()[1000:-1000]).max() < 1e-2


def test_arrays_of_every_type():
    wave = tone()
    for array in (
        wave,
        wave.astype(np.float64),
        (wave * 32767).astype(np.int16),
        (wave * 2147480000).astype(np.int32),
        torch.from_numpy(wave),
        wave.tolist(),
        np.stack([wave, wave]),
        np.stack([wave, wave], axis=1),
    ):
        assert np.abs(load_audio(array) - wave).max() < 1e-4
    assert np.abs(load_audio({"array": tone(8000), "sampling_rate": 8000})[500:-500] - wave[500:-500]).max() < 1e-2
    assert len(load_audio(tone(8000), source_rate=8000)) == 8000


def test_one_sample_survives(tmp_path):
    assert len(load_audio(write(tmp_path / "one.wav", np.array([0.5]), 96_000))) == 1
    assert load_audio(write(tmp_path / "two.wav", np.array([[0.5, 0.1]]), 16_000)) == pytest.approx(0.3, abs=1e-3)


def test_bad_files_are_named_with_the_reason(tmp_path):
    good = {
        "wav": write(tmp_path / "g.wav", tone()).read_bytes(),
        "flac": write(tmp_path / "g.flac", tone()).read_bytes(),
        "ogg": write(tmp_path / "g.ogg", tone(seconds=3), format="OGG", subtype="OPUS").read_bytes(),
    }
    noise = np.random.default_rng(0).integers(0, 256, 2000, dtype=np.uint8).tobytes()
    cases = {
        "empty.wav": (b"", "0 bytes"),
        "noise.wav": (b"\xff\x00" + noise, "cannot be decoded"),
        "text.wav": ("bonjour tout le monde, ça va ?".encode(), "text, not audio"),
        "header.wav": (good["wav"][:20], "truncated"),
        "header.flac": (good["flac"][:60], ""),
        "header.ogg": (good["ogg"][:100], "truncated"),
    }
    for name, (data, reason) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(AudioError) as error:
            load_audio(path)
        assert name in str(error.value) and reason in str(error.value), (name, str(error.value))
        with pytest.raises(AudioError):
            load_audio(data, name=name)


def test_damaged_files_are_used_with_a_warning(tmp_path, caplog):
    good = {
        "wav": write(tmp_path / "g.wav", tone()).read_bytes(),
        "flac": write(tmp_path / "g.flac", tone(seconds=3)).read_bytes(),
        "ogg": write(tmp_path / "g.ogg", tone(seconds=3), format="OGG", subtype="OPUS").read_bytes(),
    }
    cases = {
        "cut.wav": (good["wav"][:-999], 0.46),
        "cut.flac": (good["flac"][: len(good["flac"]) // 2], 1.2),
        "cut.ogg": (good["ogg"][:-100], 1.9),
        "pages.ogg": (good["ogg"][: good["ogg"].rfind(b"OggS")], 1.9),
    }
    for name, (data, seconds) in cases.items():
        (tmp_path / name).write_bytes(data)
        caplog.clear()
        assert len(load_audio(tmp_path / name)) > 16_000 * seconds
        (record,) = caplog.records
        assert name in record.getMessage() and "corrupted or truncated" in record.getMessage()


def test_opus_of_48_khz_is_decoded_at_the_wanted_rate(tmp_path, monkeypatch):
    path = write(tmp_path / "a.opus", tone(48_000, 40.0), 48_000, format="OGG", subtype="OPUS")
    resampled = load_audio({"array": sf.read(path)[0], "sampling_rate": 48_000})
    monkeypatch.setattr("mu2slam_hf.models.modules_audio_files.soxr", None)
    for rate in (16_000, 8_000):
        decoded = load_audio(path, rate)
        assert len(decoded) == 40 * rate
        spectrum = np.abs(np.fft.rfft(decoded[-rate:]))
        assert spectrum.argmax() == 440 and np.delete(spectrum, 440).max() < 0.02 * spectrum[440]
        assert np.abs(decoded).max() == pytest.approx(0.5, abs=0.05)
    spectra = [np.abs(np.fft.rfft(samples[:16_000])) for samples in (load_audio(path), resampled)]
    assert np.abs(spectra[0] - spectra[1]).max() < 0.02 * spectra[1].max()
    assert len(load_audio(path, 48_000)) == 40 * 48_000
    with pytest.raises(AudioError, match="soxr"):
        load_audio(path, 22_050)


def test_bad_samples_and_sources(tmp_path):
    bad = tone()
    bad[7] = np.nan
    cases = [
        (write(tmp_path / "nan.wav", bad, subtype="FLOAT"), "NaN", "nan.wav"),
        (write(tmp_path / "zero.wav", np.zeros(0)), "no samples", "zero.wav"),
        (tmp_path, "folder", str(tmp_path)),
        (tmp_path / "gone.wav", "no such file", "gone.wav"),
        ("how are you today", "as text", "how are you"),
        ("a line\nanother line", "this is text", "a line"),
        ("x" * 300, "not the path", "xxx"),
        ({"path": None}, "mapping must contain", "path"),
        ({"array": tone()}, "sampling_rate", "audio array"),
        (np.array([1.0, np.inf]), "infinite", "audio array"),
        (np.zeros(0), "no samples", "audio array"),
        (np.zeros((2, 3, 4)), "", "audio array"),
        (np.array(["a", "b"]), "", "audio array"),
        (io.StringIO("abc"), "binary", "audio file"),
        (None, "got None", "audio"),
        (3, "", "audio array"),
    ]
    for source, reason, name in cases:
        with pytest.raises(AudioError) as error:
            load_audio(source)
        assert reason in str(error.value) and name in str(error.value), (source, str(error.value))
    with pytest.raises(AudioError, match="gone.wav"):
        audio_duration_seconds(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="zero.wav"):
        audio_duration_seconds(tmp_path / "zero.wav")


def test_all_zero_audio_is_silence_not_an_error(tmp_path):
    assert (load_audio(write(tmp_path / "silence.wav", np.zeros(1600))) == 0).all()


def test_streamed_wav_without_a_size_is_not_called_cut_off(tmp_path):
    data = bytearray(write(tmp_path / "s.wav", tone()).read_bytes())
    data[4:8] = b"\xff\xff\xff\xff"
    assert len(load_audio(bytes(data))) == 8000


def test_cache_is_bounded_and_repeats_exactly(tmp_path):
    paths = [write(tmp_path / f"{number}.wav", tone(hertz=100 * (number + 1))) for number in range(3)]
    cache = AudioCache(max_bytes=2 * 16_000 + 100)  # two clips of 8000 int16 samples
    first = [cache.load(path) for path in paths]
    again = [cache.load(path) for path in paths]
    assert (len(cache), cache.num_bytes, cache.hits, cache.misses) == (2, 32_000, 2, 4)
    for one, two, path in zip(first, again, paths, strict=True):
        assert (one == two).all()
        assert np.abs(one - load_audio(path)).max() <= 1 / 65_536
    assert len(pickle.loads(pickle.dumps(cache))) == 2
    assert [str(error) for error in AudioCache().preload({"x": tmp_path / "gone.wav", "y": paths[0]})][0].endswith(
        "gone.wav: no such file"
    )
    with pytest.raises(ValueError, match="negative"):
        AudioCache(-1)
