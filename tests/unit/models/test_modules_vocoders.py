# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Short-time spectra against loops, Griffin-Lim, and the loss of trained vocoders."""

import numpy as np
import pytest
import torch
from helpers import REPOSITORY_ROOT

from mu2slam_hf import Mu2SLAMFeatureExtractor
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.models.configuration_speech_synthesizer import SpeechSynthesizerConfig
from mu2slam_hf.models.modeling_speech_synthesizer import SpeechSynthesizerModel
from mu2slam_hf.models.modules_vocoders import (
    SPECTRAL_WINDOWS,
    griffin_lim,
    mel_to_magnitudes,
    overlap_add,
    short_time_spectra,
    spectral_distance_sum,
)

HOP, WINDOW = 4, torch.hann_window(12, dtype=torch.float64)
RECORDING = REPOSITORY_ROOT / "examples" / "it" / "vm-leavemsg.opus"


def test_spectra_of_a_loop_over_frames():
    waveforms = torch.randn(2, 5 * HOP, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spectra = short_time_spectra(waveforms, WINDOW, HOP)
    padded = np.pad(waveforms.numpy(), ((0, 0), (4, 4)))
    for row in range(2):
        for frame in range(5):
            piece = padded[row, frame * HOP : frame * HOP + 12] * WINDOW.numpy()
            np.testing.assert_allclose(spectra[row, frame].numpy(), np.fft.rfft(piece), atol=1e-12)


def test_the_inverse_gives_the_waveform_back():
    waveforms = torch.randn(3, 7 * HOP, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    back = overlap_add(short_time_spectra(waveforms, WINDOW, HOP), WINDOW, HOP)
    torch.testing.assert_close(back, waveforms)


def test_the_inverse_is_the_nearest_waveform():
    """Of spectra that belong to no waveform, the least-squares solution: its gradient is zero."""
    generator = torch.Generator().manual_seed(2)
    spectra = torch.randn(1, 6, 7, dtype=torch.complex128, generator=generator)
    spectra[..., 0], spectra[..., -1] = spectra[..., 0].real.to(spectra), spectra[..., -1].real.to(spectra)
    waveform = overlap_add(spectra, WINDOW, HOP).requires_grad_(True)
    frames = torch.fft.irfft(spectra, n=12)
    padded = torch.nn.functional.pad(waveform, (4, 4)).unfold(-1, 12, HOP) * WINDOW
    (padded - frames).square().sum().backward()
    assert waveform.grad.abs().max() < 1e-12


def test_griffin_lim_gets_nearer_in_every_pass_and_is_a_function_of_its_seed():
    extractor = Mu2SLAMFeatureExtractor()
    window = torch.nn.functional.pad(extractor.window, (56, 56)).double()
    speech = torch.from_numpy(load_audio(RECORDING)[: 160 * 100]).double()[None]
    magnitudes = short_time_spectra(speech, window, 160).abs()
    distances = []
    for passes in range(1, 12):
        waveform = griffin_lim(magnitudes, window, 160, num_passes=passes)
        distances.append(float((short_time_spectra(waveform, window, 160).abs() - magnitudes).square().sum()))
    assert all(after <= before * (1 + 1e-9) for before, after in zip(distances, distances[1:], strict=False))
    assert distances[-1] < 0.5 * distances[0]
    same, other = (griffin_lim(magnitudes, window, 160, num_passes=3, seed=seed) for seed in (0, 1))
    assert torch.equal(same, griffin_lim(magnitudes, window, 160, num_passes=3)) and not torch.equal(same, other)
    fast = griffin_lim(magnitudes, window, 160, num_passes=11, momentum=0.9)
    assert float((short_time_spectra(fast, window, 160).abs() - magnitudes).square().sum()) < distances[-1]


def test_magnitudes_of_the_power_of_mel_bins():
    filters = torch.rand(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 0.1
    power = torch.zeros(1, 2, 9, dtype=torch.float64)
    power[..., 2] = 4.0
    found = mel_to_magnitudes((power @ filters).log(), torch.linalg.pinv(filters), 1.0)
    assert (found >= 0).all()
    # The projection on the rows of the filters has the same mel power, as long as it is not negative anywhere.
    clipped = (power @ filters @ torch.linalg.pinv(filters)).clamp(min=0)
    torch.testing.assert_close(found.square(), clipped)


@pytest.fixture(scope="module")
def synthesizer():
    return SpeechSynthesizerModel(SpeechSynthesizerConfig()).eval()


def test_the_features_of_a_waveform_made_of_features_are_near_them(synthesizer):
    """Silence and speech of a real recording, in the scale of the features (1 is their standard deviation)."""
    speech = load_audio(RECORDING)
    features = synthesizer.features(speech, sampling_rate=16000)["input_features"]
    waveform = synthesizer.make_waveforms(features)
    assert waveform.shape == (1, 160 * features.shape[1])
    again = synthesizer.features(waveform[0].numpy(), sampling_rate=16000)["input_features"]
    assert (again - features).abs().mean() < 0.15
    silent = synthesizer.features(np.zeros(16000, dtype=np.float32), sampling_rate=16000)["input_features"]
    assert synthesizer.make_waveforms(silent).abs().max() < 5e-3


def test_samples_do_not_depend_on_the_rows_beside_them(synthesizer):
    features = torch.randn(3, 24, 80, generator=torch.Generator().manual_seed(4))
    lengths = torch.tensor([24, 8, 8])
    features[1:, 8:] = float("nan")
    together = synthesizer.make_waveforms(features, lengths)
    assert together.shape == (3, 24 * 160) and not together[1:, 8 * 160 :].any() and together.isfinite().all()
    for row, length in enumerate(lengths.tolist()):
        alone = synthesizer.make_waveforms(features[row : row + 1, :length])
        torch.testing.assert_close(together[row, : length * 160], alone[0], atol=1e-6, rtol=1e-5)


def test_the_spectral_distance_of_a_loop():
    generator = torch.Generator().manual_seed(5)
    waveforms, targets = (torch.randn(2, 6 * 160, generator=generator) * 0.1 for _ in range(2))
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 4:] = False
    expected = 0.0
    for length in SPECTRAL_WINDOWS:
        window = torch.hann_window(length)
        logs = [(short_time_spectra(rows, window, 160).abs() + 1e-2).log() for rows in (waveforms, targets)]
        for row in range(2):
            for frame in range(6 if row == 0 else 4):
                expected += float((logs[0][row, frame] - logs[1][row, frame]).abs().mean()) / 3
    assert float(spectral_distance_sum(waveforms, targets, mask, 160)) == pytest.approx(expected, rel=1e-5)
    assert float(spectral_distance_sum(targets, targets, mask, 160)) == 0.0
