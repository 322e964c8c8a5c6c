# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
from non_speech_checks import check_audible_at_every_length, check_levels_and_lengths

from mu2slam_hf.data.non_speech import NON_SPEECH_KINDS, generate_non_speech


def test_clips_have_the_levels_and_lengths_that_are_stated():
    check_levels_and_lengths(NON_SPEECH_KINDS)


def test_clips_are_functions_of_seed_kind_and_position():
    clips = list(generate_non_speech(20, seed=1))
    again = list(generate_non_speech(17, seed=1))
    assert all((one.waveform == two.waveform).all() for one, two in zip(clips[:17], again, strict=True))
    others = list(generate_non_speech(20, seed=2))
    pairs = [(a.waveform, b.waveform) for a, b in zip(clips, others, strict=True) if a.kind != "silence"]
    assert not any(len(a) == len(b) and (a == b).all() for a, b in pairs)
    # The same kind at another position is another sound.
    assert len(clips[1].waveform) != len(clips[16].waveform)


@pytest.mark.parametrize("kind", NON_SPEECH_KINDS)
def test_every_sound_is_audible_at_every_length(kind):
    check_audible_at_every_length(NON_SPEECH_KINDS[kind], silent=kind == "silence")
