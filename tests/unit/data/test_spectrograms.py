# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
import torch

from mu2slam_hf.data.spectrograms import reweight_pauses, warp_frequencies


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.15])
def test_warping_scales_the_frequency_axis(factor):
    bins = torch.arange(80.0)
    expected = (bins / factor).clamp(max=79)
    torch.testing.assert_close(warp_frequencies(bins.repeat(3, 1), factor), expected.repeat(3, 1))
    formant = torch.exp(-((bins - 40) ** 2) / 18).repeat(3, 1)
    assert (warp_frequencies(formant, factor).argmax(dim=1) == round(40 * factor)).all()
    assert torch.equal(warp_frequencies(torch.ones(3, 80), factor), torch.ones(3, 80))


def _normalised(features):
    return (features - features.mean(dim=0)) / features.std(dim=0, unbiased=False)


@pytest.mark.parametrize("factor", [2, 3])
def test_longer_pauses_are_repeated_frames(factor):
    generator = torch.Generator().manual_seed(1)
    pause = torch.randn(20, 8, generator=generator) - 8
    speech = torch.randn(80, 8, generator=generator)
    recording = torch.cat([pause[:10], speech, pause[10:]])
    longer = torch.cat([pause[:10].repeat(factor, 1), speech, pause[10:].repeat(factor, 1)])
    changed = reweight_pauses(_normalised(recording), factor)
    torch.testing.assert_close(changed[10:90], _normalised(longer)[10 * factor : 10 * factor + 80])
    # As they were: the shorter pause of the longer recording, at any scale of the features.
    torch.testing.assert_close(reweight_pauses(5 * changed + 3, 1.0), _normalised(recording))


def test_features_of_one_value_stay_finite():
    assert torch.equal(reweight_pauses(torch.ones(7, 8), 3.0), torch.zeros(7, 8))
