# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the names of tiers say: language, transcript or translation, speaker."""

import re

from mu2slam_hf.adaptation.tiers import AnnotationTier
from mu2slam_hf.models.language_codes import canonical_language

# Names in common use, also those of Toolbox and FLEx (tx, ft, ge, mb, ps).
_TRANSCRIPT_WORDS = frozenset(
    """
    tx txt text texte texto transcript transcription transcripcion transcr utterance utterances utt sentence sentences
    phrase phrases orthography orth ortho speech spoken
    """.split()
)
_TRANSLATION_WORDS = frozenset("ft fte translation translations trans traduction traduccion traducao free".split())
_OTHER_WORDS = frozenset(
    """
    note notes comment comments commentaire gloss glosses gls ge gl mb morph morphs morpheme morphemes ps pos word
    words wd mot mots phone phones phoneme phonemes ipa ref id segment segments
    """.split()
)
# Names of languages in themselves, where the code tables have the English one only.
_OWN_NAMES = {
    "fr": "fran\u00e7ais francais",
    "es": "espa\u00f1ol espanol castellano",
    "pt": "portugu\u00eas portugues",
    "de": "deutsch",
    "ru": "\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    "id": "bahasa indonesia",
    "it": "italiano",
    "en": "anglais ingl\u00e9s ingles",
}
_LANGUAGES_BY_OWN_NAME = {word: code for code, words in _OWN_NAMES.items() for word in words.split()}


def base_name(tier: AnnotationTier) -> str:
    """The name of a tier without its speaker: `tx` of `tx@Anna`, and of `tx-Anna` if Anna is its participant."""
    name = tier.name
    if tier.participant:
        without = re.sub(re.escape(tier.participant), "", name, flags=re.IGNORECASE)
        name = without.replace("@", "").strip(" _-.:") or name
    return (name.split("@")[0] if "@" in name[1:] else name).strip()


def tier_speaker(tier: AnnotationTier) -> str | None:
    """The participant of a tier, or what follows `@` in its name."""
    if tier.participant:
        return tier.participant.strip() or None
    suffix = tier.name.partition("@")[2] if "@" in tier.name[1:] else ""
    return suffix.strip() or None


def is_named(tier: AnnotationTier, wanted: str) -> bool:
    """Whether a name that a user gives is that of a tier, with or without the speaker, or of its linguistic type."""
    names = (tier.name, base_name(tier), tier.type_name or "")
    return wanted.strip().lower() in (name.strip().lower() for name in names)


def is_in_language(tier: AnnotationTier, lang: str) -> bool:
    """Whether a tier states a language, or its name has the code or the name of the language as one of its words."""
    if tier.lang:
        return _is_language(tier.lang, lang)
    return any(_is_language(word, lang) for word in _words(tier))


def has_transcript_name(tier: AnnotationTier) -> bool:
    """Whether a tier has one of the usual names of transcripts."""
    return bool(_words(tier) & _TRANSCRIPT_WORDS) and not has_translation_name(tier)


def has_translation_name(tier: AnnotationTier) -> bool:
    """Whether a tier has one of the usual names of translations."""
    return bool(_words(tier) & _TRANSLATION_WORDS)


def has_other_name(tier: AnnotationTier) -> bool:
    """Whether a tier has a usual name of something else: notes, glosses, words, phones."""
    return bool(_words(tier) & _OTHER_WORDS)


def _words(tier: AnnotationTier) -> set[str]:
    return set(re.findall(r"[^\W_]+", base_name(tier).lower()))


def _is_language(word: str, lang: str) -> bool:
    code = _LANGUAGES_BY_OWN_NAME.get(word.lower())
    if code is None:
        try:
            code = canonical_language(word)
        except ValueError:
            return False
    return code.split("-")[0] == lang.split("-")[0]
