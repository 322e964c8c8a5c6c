# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Speech that is still going on: pieces between pauses, whatever the blocks, and words that stay."""

import numpy as np
import pytest

from mu2slam_hf.inference.live.pieces import LiveSpeech, LocalAgreement

RATE = 1000


def syllables(seconds, rng):
    """A sound that rises and falls four times per second, as speech does."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * (0.55 + 0.45 * np.sin(8 * np.pi * time)) * rng.standard_normal(len(time))).astype(np.float32)


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def listen(samples, block_seconds, **options):
    """All pieces, and for each the time at which it was given."""
    speech = LiveSpeech(RATE, options.pop("max_seconds", 15.0), **options)
    size = round(block_seconds * RATE)
    pieces, times = [], []
    for start in range(0, len(samples), size):
        for piece in speech.add(samples[start : start + size]):
            pieces.append(piece)
            times.append((start + size) / RATE)
    last = speech.finish()
    return pieces + ([last] if last else []), times


@pytest.mark.parametrize("block_seconds", [0.1, 0.25, 0.5, 3.0])
def test_pieces_end_at_pauses(block_seconds):
    rng = np.random.default_rng(0)
    parts = [silence(2.0), syllables(3.0, rng), silence(1.5), syllables(2.0, rng), silence(1.5), syllables(1.0, rng)]
    samples = np.concatenate(parts)
    pieces, times = listen(samples, block_seconds)
    assert len(pieces) == 3
    for piece, (start, stop) in zip(pieces, [(2.0, 5.0), (6.5, 8.5), (10.0, 11.0)], strict=True):
        end = piece.start_sample + len(piece.waveform)
        assert start - 0.5 <= piece.start_sample / RATE <= start + 0.05
        assert stop - 0.05 <= end / RATE <= stop + 0.5
        assert np.array_equal(piece.waveform, samples[piece.start_sample : end])
    # Not long after the pause is long enough.
    assert times[0] <= 5.0 + 0.9 + block_seconds and times[1] <= 8.5 + 0.9 + block_seconds


def test_a_piece_without_a_pause_is_cut():
    samples = syllables(20.0, np.random.default_rng(0))
    pieces, _ = listen(samples, 0.5, max_seconds=6.0)
    assert all(2.9 <= len(piece.waveform) / RATE <= 6.0 for piece in pieces[:-1]) and 4 <= len(pieces) <= 7
    assert np.array_equal(np.concatenate([piece.waveform for piece in pieces]), samples[pieces[0].start_sample :])


def test_silence_has_no_pieces_and_needs_no_memory():
    speech = LiveSpeech(RATE, 15.0)
    for _ in range(100):
        assert speech.add(silence(1.0)) == [] and speech.start_sample is None
    assert len(speech.growing) == 0 and len(speech._buffer) <= RATE and speech.finish() is None


def test_without_pauses_only_the_end_ends_a_piece():
    rng = np.random.default_rng(0)
    samples = np.concatenate([silence(1.0), syllables(2.0, rng), silence(2.0), syllables(1.0, rng)])
    speech = LiveSpeech(RATE, 60.0, None)
    assert speech.add(samples) == [] and np.array_equal(speech.growing, samples)
    piece = speech.finish()
    assert piece.start_sample == 0 and np.array_equal(piece.waveform, samples) and speech.finish() is None
    speech.add(samples)
    assert speech.start_sample == len(samples)
    speech.clear()
    assert speech.finish() is None


def test_words_stay_when_two_guesses_agree():
    agreement = LocalAgreement()
    assert agreement.add("the") == []
    assert agreement.add("the cat") == ["the"]
    assert agreement.add("the cats at") == []
    assert agreement.add("the cats at home") == ["cats", "at"]
    # What was said is never taken back, even if later guesses differ.
    assert agreement.add("a cats at home and") == []
    assert agreement.add("a cats at home and away") == ["home", "and"]
    assert agreement.words == ["the", "cats", "at", "home", "and"]
