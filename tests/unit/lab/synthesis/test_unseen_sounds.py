# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
import pytest
from non_speech_checks import (
    check_audible_at_every_length,
    check_features_do_not_depend_on_gain,
    check_levels_and_lengths,
)

from lab.synthesis.unseen_sounds import UNSEEN_KINDS
from mu2slam_hf import load_default
from mu2slam_hf.data.non_speech import NON_SPEECH_KINDS
from mu2slam_hf.evaluation.tasks.no_speech_calibration import (
    format_no_speech,
    measure_clips,
    non_speech_clips,
    score_no_speech,
)
from mu2slam_hf.inference.no_speech import NoSpeechSettings


def test_calibration_does_not_use_them():
    assert not set(UNSEEN_KINDS) & set(NON_SPEECH_KINDS)


def test_clips_have_the_levels_and_lengths_that_are_stated():
    check_levels_and_lengths(UNSEEN_KINDS)


@pytest.mark.parametrize("kind", UNSEEN_KINDS)
def test_every_sound_is_audible_at_every_length(kind):
    check_audible_at_every_length(UNSEEN_KINDS[kind])


@pytest.mark.parametrize("kind", UNSEEN_KINDS)
def test_features_are_finite_and_do_not_depend_on_gain(kind):
    check_features_do_not_depend_on_gain(UNSEEN_KINDS[kind])


def test_the_shipped_checkpoint_writes_nothing():
    model, processor = load_default()
    measured = measure_clips(model, processor, non_speech_clips(13, seed=77, kinds=UNSEEN_KINDS))
    scores = score_no_speech(NoSpeechSettings.from_model(model), measured)
    assert sum(score.num_clips for score in scores) == 13
    assert not any(score.num_wrong for score in scores), format_no_speech(scores)
