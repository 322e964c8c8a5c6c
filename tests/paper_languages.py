# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The languages of the paper, from the codes of its corpora."""

from mu2slam_hf.models.language_codes import (
    COMMON_VOICE_CODES,
    FLEURS_CODES,
    MC4_CODES,
    UNDETERMINED,
    VOXPOPULI_CODES,
    canonical_language,
)

MLS_CODES = tuple("de en es fr it nl pl pt".split())
BABEL_CODES = tuple("as bn ceb ht ka kk kmr lo ps sw ta tl tpi tr vi yue zu".split())


def _languages_of(*codes):
    """Sorted canonical languages without script and region."""
    return tuple(sorted({canonical_language(code).split("-")[0] for group in codes for code in group}))


MC4_LANGUAGES = _languages_of(MC4_CODES)
FLEURS_LANGUAGES = _languages_of(FLEURS_CODES)
SPEECH_LANGUAGES = _languages_of(VOXPOPULI_CODES, MLS_CODES, BABEL_CODES, COMMON_VOICE_CODES)
# Rows of the paper-size language table: `und` first, then all of the above.
PAPER_LANGUAGES = (UNDETERMINED, *sorted({*MC4_LANGUAGES, *FLEURS_LANGUAGES, *SPEECH_LANGUAGES}))
