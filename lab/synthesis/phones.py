# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Sentences in several synthetic voices, with the times of their phones, for the assessment of speech tokenizers.

The phone times are those of the synthesis by espeak-ng: exact for its audio, but not representative of natural speech.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lab.synthesis.content import content
from lab.synthesis.espeak import EspeakEngine, Phone
from lab.synthesis.espeak_server import NATIVE_SAMPLING_RATE
from lab.synthesis.rendering import RenderingError, render
from lab.synthesis.speech import ClipPlan, SoundSettings, finish_clip, plan_clips
from lab.synthesis.speech_engine import NATURAL_PITCH, SpokenClip

# Kinds of content with sentences of several different words.
_KINDS = ("listing", "currency", "quantity", "duration", "relative", "date", "datetime")
_MOST_TRIES = 20
_PITCH_STEPS = 25


@dataclass(frozen=True, kw_only=True)
class SpokenVersion:
    """One sentence in one voice.

    Attributes:
        text: the spoken text.
        lang: language of the text.
        speaker: name of the voice.
        audio: `(n,)` float32 at the rate of the settings.
        phones: phones without gaps, from 0 to the end; times in seconds.
        pitch: pitch of the voice, 0 to 99; 25 are three semitones.
    """

    text: str
    lang: str
    speaker: str
    audio: npt.NDArray[np.float32]
    phones: Sequence[Phone]
    pitch: int = NATURAL_PITCH


def speak_in_voices(
    languages: Sequence[str],
    num_sentences: int,
    *,
    num_voices: int = 2,
    other_pitch: bool = False,
    seed: int = 0,
    split: str | None = "test",
    sound: SoundSettings | None = None,
    form: str = "written",
) -> list[list[SpokenVersion]]:
    """Synthesise sentences of each language in several voices.

    Args:
        languages: language codes.
        num_sentences: number of sentences per language.
        num_voices: number of voices per sentence, drawn for each sentence.
        other_pitch: whether the last version is the first voice once more, three semitones higher or lower.
        seed: seed of sentences and voices.
        split: split of the generated contents; training sets of synthetic speech exclude `test`.
        sound: bandwidth, level, rates. All versions of a sentence have the bandwidth of the first one.
        form: form of the texts: "written", or "spoken" (numbers in words, lower case, no punctuation).

    Returns:
        the versions of each sentence; sentences that espeak-ng cannot speak in every voice are skipped.

    Raises:
        ImportError: the extra `lab` is not installed.
        ValueError: a language has no sentences.
    """
    sound = sound or SoundSettings()
    sentences = []
    with EspeakEngine(phoneme_events=True) as engine:
        for lang in languages:
            for number in range(num_sentences):
                text = _sentence(lang, seed, number, split, form)
                plans = plan_clips(
                    text, lang, key=f"phones:{seed}:{lang}:{number}", settings=sound, num_voices=num_voices
                )
                if other_pitch:
                    own = plans[0].request
                    pitch = own.pitch + (_PITCH_STEPS if own.pitch < NATURAL_PITCH else -_PITCH_STEPS)
                    plans.append(replace(plans[0], request=replace(own, pitch=pitch)))
                plans = [replace(plan, band_limited=plans[0].band_limited) for plan in plans]
                versions = _speak(engine, plans, lang, sound)
                if all(len(version.audio) for version in versions):
                    sentences.append(versions)
    return sentences


def find_words(version: SpokenVersion) -> list[tuple[str, float, float]]:
    """Words of a sentence with start and end in seconds, excluding pauses.

    Words that espeak-ng merges ("in the") are one entry, with the space.
    """
    found: list[tuple[int, float, float]] = []
    for phone in version.phones:
        if not phone.symbol:
            continue
        if found and found[-1][0] == phone.text_position:
            found[-1] = (found[-1][0], found[-1][1], phone.end_seconds)
        else:
            found.append((phone.text_position, phone.start_seconds, phone.end_seconds))
    ends = [place for place, _, _ in found[1:]] + [len(version.text)]
    return [
        (version.text[place:end].strip(), start, stop) for (place, start, stop), end in zip(found, ends, strict=True)
    ]


def _sentence(lang: str, seed: int, number: int, split: str | None, form: str) -> str:
    for attempt in range(_MOST_TRIES):
        try:
            return render(content(seed, number * _MOST_TRIES + attempt, split=split, kinds=_KINDS), lang, form)
        except RenderingError:
            continue
    raise ValueError(f"synthetic sentences are not supported in {lang!r}")


def _speak(engine: EspeakEngine, plans: Sequence[ClipPlan], lang: str, sound: SoundSettings) -> list[SpokenVersion]:
    clips = engine.speak_phones_block([plan.request for plan in plans])
    return [
        SpokenVersion(
            text=plan.request.text,
            lang=lang,
            speaker=plan.speaker,
            audio=finish_clip(SpokenClip(pcm=samples, sampling_rate=NATIVE_SAMPLING_RATE), plan, sound),
            phones=phones,
            pitch=plan.request.pitch,
        )
        for plan, (samples, phones) in zip(plans, clips, strict=True)
    ]
