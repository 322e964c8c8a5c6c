# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Closed forms and invariants of the log-mel features."""

import math

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from mu2slam_hf.models.feature_extraction_mu2slam import Mu2SLAMFeatureExtractor, build_mel_filters, frame_count

RATE = 16000


def noise(num_samples: int, seed: int = 0, amplitude: float = 0.1) -> np.ndarray:
    return amplitude * np.random.default_rng(seed).standard_normal(num_samples)


def sine(frequency: float, num_samples: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(num_samples) / RATE)


@pytest.fixture(scope="module")
def extractor() -> Mu2SLAMFeatureExtractor:
    return Mu2SLAMFeatureExtractor()


def naive_log_mel(extractor: Mu2SLAMFeatureExtractor, waveform: np.ndarray) -> np.ndarray:
    """Written frame by frame from the definition, with numpy's Fourier transform."""
    window = np.hanning(extractor.win_length + 1)[:-1]
    filters = extractor.mel_filters.numpy()
    rows = []
    for t in range(max(1, math.ceil(len(waveform) / extractor.hop_length))):
        start = t * extractor.hop_length + extractor.hop_length // 2 - extractor.win_length // 2
        samples = np.array([waveform[i] if 0 <= i < len(waveform) else 0.0 for i in range(start, start + 400)])
        spectrum = np.fft.rfft((samples - samples.mean()) * window, n=extractor.n_fft) / (window.sum() / 2)
        rows.append(np.log(np.maximum((np.abs(spectrum) ** 2) @ filters, extractor.mel_floor)))
    return np.array(rows)


@pytest.mark.parametrize(("samples", "frames"), [(0, 1), (1, 1), (160, 1), (161, 2), (320, 2), (16000, 100)])
def test_frame_count(extractor, samples, frames):
    assert frame_count(samples) == extractor.frame_count(samples) == frames


@pytest.mark.parametrize("samples", [1, 2, 159, 160, 161, 399, 400, 401, 511, 1234, 4801])
def test_frames_equal_the_definition(extractor, samples):
    waveform = noise(samples, seed=samples)
    (log_mel,) = extractor.compute_log_mel([waveform])
    assert log_mel.shape == (frame_count(samples), 80)
    np.testing.assert_allclose(log_mel.numpy(), naive_log_mel(extractor, waveform), rtol=0, atol=1e-5)


def test_bins_far_below_the_strongest_are_as_exact_as_float32_allows(extractor):
    waveform = sine(440, 8000, 0.9) + noise(8000, amplitude=1e-4)
    (log_mel,) = extractor.compute_log_mel([waveform])
    expected = naive_log_mel(extractor, waveform)
    assert expected.min() < expected.max() - 6 * math.log(10)
    np.testing.assert_allclose(log_mel.numpy(), expected, rtol=0, atol=1e-3)


def test_mel_filters_follow_slaney():
    filters = build_mel_filters(80, 512, RATE, 20.0, 8000.0)
    assert filters.shape == (257, 80)
    assert (filters >= 0).all() and filters.max() <= 1
    assert (filters.sum(dim=0) > 0).all(), "an empty filter"
    neighbours = torch.nn.functional.cosine_similarity(filters[:, 1:], filters[:, :-1], dim=0)
    assert neighbours.max() < 0.9, "two filters copy each other"
    reference = mel_filter_bank(257, 80, 20.0, 8000.0, RATE, norm=None, mel_scale="slaney")
    np.testing.assert_allclose(filters.numpy(), reference, atol=1e-9)


@pytest.mark.parametrize("frequency", [200.0, 440.0, 1000.0, 3000.0, 6500.0])
def test_sine_peaks_in_its_mel_bin(extractor, frequency):
    (log_mel,) = extractor.compute_log_mel([sine(frequency)])
    at_frequency = np.array(
        [np.interp(frequency, np.linspace(0, 8000, 257), extractor.mel_filters[:, m]) for m in range(80)]
    )
    assert abs(int(log_mel[50].argmax()) - int(at_frequency.argmax())) <= 1


def test_full_scale_sine_in_the_centre_of_a_bin_has_power_about_one(extractor):
    centre = int(extractor.mel_filters[:, 30].argmax()) * RATE / 512
    (log_mel,) = extractor.compute_log_mel([sine(centre, amplitude=1.0)])
    assert abs(log_mel[50].max().item()) < 1.0


def test_level_shifts_features_by_a_constant(extractor):
    loud, quiet = extractor.compute_log_mel([noise(8000), 0.5 * noise(8000)])
    torch.testing.assert_close(loud - quiet, torch.full_like(loud, math.log(4.0)))


def test_alone_equals_batch(extractor):
    # Every other one is ten thousand times as loud as its neighbours.
    waveforms = [noise(n, n, 10.0 ** -(4 * (k % 2))) for k, n in enumerate((1, 700, 16000, 4801, 160, 33333))]
    batch = extractor(waveforms, sampling_rate=RATE)
    assert batch["input_features"].dtype == torch.float32 and batch["attention_mask"].dtype == torch.int64
    assert batch["input_features"].shape == (6, frame_count(33333), 80)
    for index, waveform in enumerate(waveforms):
        alone = extractor(waveform, sampling_rate=RATE)["input_features"][0]
        frames = int(batch["attention_mask"][index].sum())
        assert frames == alone.shape[0] == frame_count(len(waveform))
        assert torch.equal(batch["input_features"][index, :frames], alone)
        assert (batch["input_features"][index, frames:] == 0).all()


def test_features_of_a_piece_equal_those_of_the_whole(extractor):
    waveform = noise(32000)
    waveform[:16000] *= 1e-3  # a quiet half: statistics of the clip would show
    whole = extractor(waveform, sampling_rate=RATE)["input_features"][0]
    piece = extractor(waveform[: 160 * 90], sampling_rate=RATE)["input_features"][0]
    torch.testing.assert_close(piece[2:-2], whole[2:88], atol=1e-6, rtol=0)
    piece = extractor(waveform[160 * 50 : 160 * 150], sampling_rate=RATE)["input_features"][0]
    torch.testing.assert_close(piece[2:-2], whole[52:148], atol=1e-6, rtol=0)


def test_blocks_do_not_show(extractor, monkeypatch):
    waveform = noise(30000)
    whole = extractor.compute_log_mel([waveform])[0]
    monkeypatch.setattr("mu2slam_hf.models.feature_extraction_mu2slam._BLOCK_FRAMES", 7)
    torch.testing.assert_close(extractor.compute_log_mel([waveform])[0], whole)


@pytest.mark.parametrize(
    ("hop", "win", "n_fft"), [(161, 400, 512), (161, 399, 511), (256, 256, 256), (100, 250, 300), (150, 401, 640)]
)
def test_other_sizes_place_windows_as_in_saved_processors(hop, win, n_fft):
    extractor = Mu2SLAMFeatureExtractor(hop_length=hop, win_length=win, n_fft=n_fft)
    clips = [noise(samples, seed=samples) for samples in (3 * hop + 1, 1, 2 * hop)]
    before = (n_fft - hop) // 2 - (n_fft - win) // 2
    for clip, log_mel in zip(clips, extractor.compute_log_mel(clips), strict=True):
        frames = frame_count(len(clip), hop)
        padded = np.concatenate([np.zeros(before), clip, np.zeros(frames * hop + win)])
        windows = np.stack([padded[t * hop : t * hop + win] for t in range(frames)])
        windows = (windows - windows.mean(axis=1, keepdims=True)) * extractor.window.numpy()
        power = np.abs(np.fft.rfft(windows, n=n_fft) * 2.0 / extractor.window.sum().item()) ** 2
        expected = np.log(np.maximum(power @ extractor.mel_filters.numpy(), extractor.mel_floor))
        np.testing.assert_allclose(log_mel.numpy(), expected, rtol=0, atol=1e-4)


def test_silence_and_offset(extractor):
    floor = math.log(extractor.mel_floor)
    silence = extractor.compute_log_mel([np.zeros(1600)])[0]
    torch.testing.assert_close(silence, torch.full_like(silence, floor))
    waveform = noise(8000)
    plain, offset = extractor.compute_log_mel([waveform, waveform + 0.3])
    torch.testing.assert_close(plain[2:-2], offset[2:-2], atol=1e-4, rtol=0)


def test_eight_kilohertz_bins_lie_on_the_floor(extractor):
    telephone = extractor(noise(8000), sampling_rate=8000)["input_features"][0]
    floor = (math.log(extractor.mel_floor) - extractor.DEFAULT_MEAN) / extractor.DEFAULT_STD
    assert telephone.shape[0] == 100
    torch.testing.assert_close(telephone[5:-5, -15:], torch.full((90, 15), floor))


def test_fit_statistics():
    extractor = Mu2SLAMFeatureExtractor()
    waveforms = [noise(8000 + 37 * k, seed=k, amplitude=10.0 ** -(k % 3)) for k in range(70)]
    assert extractor.fit_statistics(iter(waveforms), sampling_rate=RATE, batch_size=16) is extractor
    log_mel = torch.cat(extractor.compute_log_mel(waveforms))
    np.testing.assert_allclose(extractor.mean, log_mel.mean(dim=0).numpy(), atol=1e-3)
    np.testing.assert_allclose(extractor.std, log_mel.std(dim=0).numpy(), atol=1e-3)
    scaled = torch.cat([extractor(w, sampling_rate=RATE)["input_features"][0] for w in waveforms])
    assert scaled.mean(dim=0).abs().max() < 1e-3 and (scaled.std(dim=0) - 1).abs().max() < 1e-2


def test_fit_statistics_gives_empty_bins_no_unit_noise():
    extractor = Mu2SLAMFeatureExtractor()
    extractor.fit_statistics([noise(8000, k, 10.0 ** -(k % 3)) for k in range(20)], sampling_rate=8000)
    assert min(extractor.std) >= 1.0 and len(extractor.mean) == 80
    wide = extractor(noise(16000), sampling_rate=RATE)["input_features"]
    assert wide.abs().max() < 20


def test_fit_statistics_needs_data():
    with pytest.raises(ValueError, match="at least one"):
        Mu2SLAMFeatureExtractor().fit_statistics([])


def test_save_and_load_give_the_same_features(tmp_path):
    extractor = Mu2SLAMFeatureExtractor(
        mean=[-10.0 - m / 10 for m in range(80)], std=[3.0 + m / 100 for m in range(80)]
    )
    extractor.save_pretrained(tmp_path)
    loaded = Mu2SLAMFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == extractor.to_dict()
    assert "mel_filters" not in extractor.to_dict() and "window" not in extractor.to_dict()
    waveform = noise(5000)
    features = [one(waveform, sampling_rate=RATE)["input_features"] for one in (extractor, loaded)]
    assert torch.equal(*features)


def test_padding_options(extractor):
    waveforms = [noise(1600), noise(3200)]
    numpy = extractor(waveforms, sampling_rate=RATE, return_tensors="np", pad_to_multiple_of=8)
    assert numpy["input_features"].shape == (2, 24, 80) and numpy["attention_mask"].dtype == np.int64
    lists = extractor(waveforms, sampling_rate=RATE, padding=False, return_tensors=None)
    assert [len(row) for row in lists["input_features"]] == [10, 20]
    cut = extractor(waveforms, sampling_rate=RATE, padding="max_length", max_length=15, truncation=True)
    assert cut["input_features"].shape == (2, 15, 80) and cut["attention_mask"].sum(dim=1).tolist() == [10, 15]
    bare = extractor(waveforms, sampling_rate=RATE, return_attention_mask=False)
    assert "attention_mask" not in bare


@pytest.mark.parametrize(
    "arguments",
    [
        {"hop_length": 0},
        {"win_length": 600},
        {"mel_floor": 0.0},
        {"mean": [0.0] * 79},
        {"std": [0.0] * 80},
        {"std": [float("nan")] * 80},
        {"min_frequency": 9000.0},
        {"max_frequency": 9000.0},
    ],
)
def test_bad_settings(arguments):
    with pytest.raises(ValueError):
        Mu2SLAMFeatureExtractor(**arguments)


def test_bad_item_is_named(extractor):
    with pytest.raises(ValueError, match=r"audio\[1\].*NaN"):
        extractor([noise(100), np.array([np.nan])], sampling_rate=RATE)
    with pytest.raises(ValueError, match="but audio samples are expected"):
        extractor("hello", sampling_rate=RATE)
