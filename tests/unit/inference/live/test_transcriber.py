# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Live transcription: words that stay, transcripts at pauses equal to those of files."""

import numpy as np
import pytest
from helpers import REPOSITORY_ROOT

from mu2slam_hf import load_any_checkpoint
from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.inference.live.transcriber import LiveTranscriber
from mu2slam_hf.inference.transcription import TranscriptionOptions, transcribe_recordings

PAUSE = np.zeros(SAMPLING_RATE, np.float32)


@pytest.fixture(scope="module")
def checkpoint():
    return load_any_checkpoint("default")


@pytest.fixture(scope="module")
def clips():
    names = ("vm-enter-num-to-call", "vm-tooshort")
    return [load_audio(str(REPOSITORY_ROOT / "examples" / "es" / f"{name}.opus")) for name in names]


def listen(live, samples, block_seconds):
    """All texts, in order."""
    size = round(block_seconds * SAMPLING_RATE)
    texts = [text for first in range(0, len(samples), size) for text in live.add(samples[first : first + size])]
    return [*texts, *live.finish()]


def test_transcripts_at_pauses(checkpoint, clips):
    live = LiveTranscriber(*checkpoint, TranscriptionOptions(source_lang="es", target_langs=("en",)))
    samples = np.concatenate([PAUSE, clips[0], PAUSE, clips[1], PAUSE])
    texts = listen(live, samples, 0.1)
    final = [text for text in texts if text.is_final]
    assert len(final) == 2 and 0.4 <= final[0].start_seconds <= 1.3
    files = transcribe_recordings(*checkpoint, clips, TranscriptionOptions(source_lang="es", target_langs=("en",)))
    for text, transcript in zip(final, files, strict=True):
        assert text.text == transcript.text
        assert text.translations == {"en": transcript.translation("en")}
    # The words of a growing piece are only added to.
    growing = [text.text.split() for text in texts[: texts.index(final[0])]]
    assert growing
    for before, after in zip(growing, growing[1:], strict=False):
        assert after[: len(before)] == before and len(after) > len(before)
    assert all(not text.translations and text.transcript is None for text in texts if not text.is_final)


def test_the_end_of_the_samples_ends_a_piece(checkpoint, clips):
    live = LiveTranscriber(*checkpoint, TranscriptionOptions(source_lang="es"))
    for _ in range(2):  # it begins again
        texts = listen(live, clips[1], 0.37)
        assert [text.is_final for text in texts].count(True) == 1 and texts[-1].is_final
        assert texts[-1].text
    assert listen(live, np.zeros(5 * SAMPLING_RATE, np.float32), 0.1) == []


def test_an_unknown_language_is_refused(checkpoint):
    with pytest.raises(ValueError, match="xx"):
        LiveTranscriber(*checkpoint, TranscriptionOptions(source_lang="xx"))
