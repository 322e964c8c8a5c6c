# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tests of installed voices: whether they speak, whether accents reach them, and whether their licence is known."""

from lab.synthesis.speech_engine import ESPEAK_NG, EngineVoice, SpeechEngine, SpeechRequest

DUPLICATES = {("flite", "kal"): "the voice kal16 with half of its sampling rate"}
"""Maps (engine, voice) to the reason why a voice that works is not used by default."""

# (text, text that must sound different): a voice that receives an accent or apostrophe in the wrong encoding drops it.
_PROBES = {
    "en": ("we'll go home today", "well go home today"),
    "es": ("la niña bebió en el jardín", "la nina bebio en el jardin"),
    "fr": ("l'élève a mangé des pâtes", "leleve a mange des pates"),
    "it": ("la città è così perché può", "la citta e cosi perche puo"),
    "ru": ("твой край большой", "твои краи большои"),
}
# A fifth of the rate of normal speech per letter: voices of a limited domain, such as clocks, say next to nothing.
_LEAST_SECONDS_PER_CHARACTER = 0.035


def find_problem(engine: SpeechEngine, voice: EngineVoice) -> str:
    """Why a voice should not be used; empty if it can be.

    Voices of espeak-ng are not spoken here: `check_languages` tests its languages.

    Args:
        engine: the engine of the voice.
        voice: one of its voices.
    """
    if voice.engine == ESPEAK_NG:
        return ""
    if not voice.licence:
        return "its licence is not known"
    if (voice.engine, voice.name) in DUPLICATES:
        return DUPLICATES[voice.engine, voice.name]
    text, other = _PROBES[voice.lang.split("-")[0]]
    try:
        first, second = engine.speak(
            [SpeechRequest(text=probe, voice=voice.name, engine=voice.engine) for probe in (text, other)]
        )
    except RuntimeError as error:
        return str(error)
    if not any(first.pcm):
        return f"it is silent for {text!r}"
    seconds = len(first.pcm) / 2 / first.sampling_rate
    if seconds < _LEAST_SECONDS_PER_CHARACTER * len(text):
        return f"it says {text!r} in {seconds:.2f} s, so it does not speak general text"
    if first.pcm == second.pcm:
        return f"it makes no difference between {text!r} and {other!r}"
    return ""
