# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import numpy as np
import pytest
from public_schema import write_sound

from mu2slam_hf.data.audio import AudioError, AudioSlice, load_audio


@pytest.mark.parametrize(("suffix", "options"), [(".wav", {}), (".sph", {"subtype": "ULAW"}), (".flac", {})])
def test_a_slice_has_the_samples_between_its_times(tmp_path, suffix, options):
    path = tmp_path / f"a{suffix}"
    write_sound(path, 2.0, rate=8000, **options)
    whole = load_audio(path)
    part = AudioSlice(str(path), 0.5, 1.25)
    samples = load_audio(part)
    assert part.duration_seconds == 0.75 == len(samples) / 16_000
    np.testing.assert_allclose(samples[800:-800], whole[8000:20_000][800:-800], atol=2e-3)
    assert len(load_audio(AudioSlice(str(path), 1.5, 99.0))) == 8000
    with pytest.raises(AudioError, match=r"no samples from 3.00 s to 4.00 s, the recording has 2.00 s"):
        load_audio(AudioSlice(str(path), 3.0, 4.0))


def test_a_slice_of_no_audio_names_the_file(tmp_path):
    (tmp_path / "a.sph").write_bytes(b"NIST_1A\n   1024\nsample_coding -s26 ulaw,embedded-shorten-v2.00\nend_head\n")
    with pytest.raises(AudioError, match=r"a.sph: .*sph2pipe"):
        load_audio(AudioSlice(str(tmp_path / "a.sph"), 0.0, 1.0))
    with pytest.raises(AudioError, match="gone.wav: no such file"):
        load_audio(AudioSlice(str(tmp_path / "gone.wav"), 0.0, 1.0))
