# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Detection of supported languages, which depend on the versions of espeak-ng, CLDR and num2words."""

import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from lab.synthesis.content import CONTENT_KINDS, content
from lab.synthesis.espeak import INSTALL_HINT, EspeakEngine
from lab.synthesis.espeak_voices import espeak_voice
from lab.synthesis.rendering import RenderingError, render
from lab.synthesis.speech_engine import SpeechRequest
from mu2slam_hf.models.language_codes import canonical_language

logger = logging.getLogger(__name__)

# A language with a smaller share of the kinds of content has little more than digits.
LEAST_SHARE_OF_KINDS = 1 / 3
_PROBES_PER_KIND, _SPOKEN_PER_KIND = 4, 2
_PROBE_SEED = 7
# espeak-ng marks words pronounced with the rules of another language, as in `(en)`.
_SWITCH = re.compile(r"\(([a-z]{2,3}(?:-[a-z0-9-]+)?)\)")


@dataclass(frozen=True, kw_only=True)
class LanguageReport:
    """Support of one language.

    Attributes:
        lang: language code.
        kinds: supported kinds of content.
        problems: maps unsupported kinds to reasons.
        reason: why the language is not supported; empty if it is.
    """

    lang: str
    kinds: frozenset[str]
    problems: Mapping[str, str]
    reason: str = ""


def shared_languages() -> list[str]:
    """Languages with a voice in espeak-ng and a locale in Babel; see also `check_languages`.

    Raises:
        ImportError: the extra `lab` is not installed.
    """
    try:
        import espeakng_loader
        from babel import localedata
    except ImportError as error:
        raise ImportError(f"{INSTALL_HINT} ({error.name} is missing)") from error
    voices = set()
    for _, _, names in os.walk(os.path.join(espeakng_loader.get_data_path(), "lang")):
        voices.update(names)
    # Only for Mandarin the file names of voices differ from the code of the language.
    found = {"zh" if voice.startswith("cmn") else voice.split("-")[0] for voice in voices}
    return sorted({canonical_language(code) for code in found & set(localedata.locale_identifiers())})


def check_languages(
    languages: Sequence[str],
    *,
    engine: EspeakEngine,
    form: str = "written",
    kinds: Collection[str] = CONTENT_KINDS,
) -> dict[str, LanguageReport]:
    """Test every language with every kind of content.

    A kind is excluded if most probes cannot be rendered, if any is silent, or if more than a quarter is pronounced
    with the rules of another language. A language is excluded if less than a third of `kinds` remains, which is logged
    as a warning; excluded kinds are logged as information.

    Args:
        languages: codes to test.
        engine: synthesises the probes, one block per language, so that a crash affects one language only.
        form: `written` or `spoken`.
        kinds: kinds of content to test.
    """
    reports = {}
    for lang in languages:
        report = _check(lang, engine, form, [kind for kind in CONTENT_KINDS if kind in kinds])
        if report.reason:
            logger.warning("synthetic speech does not support %s: %s", lang, report.reason)
        elif report.problems:
            logger.info("synthetic speech in %s does not support %s", lang, dict(report.problems))
        reports[lang] = report
    return reports


def _check(lang: str, engine: EspeakEngine, form: str, kinds: Sequence[str]) -> LanguageReport:
    problems: dict[str, str] = {}
    probes: list[tuple[str, str]] = []
    for kind in kinds:
        texts, reason = _probe_texts(lang, form, kind)
        if 2 * len(texts) > _PROBES_PER_KIND:
            probes += [(kind, text) for text in texts]
        else:
            problems[kind] = reason
    try:
        problems.update(_listen(lang, engine, probes))
    except RuntimeError as error:
        return LanguageReport(lang=lang, kinds=frozenset(), problems=problems, reason=str(error))
    good = frozenset({kind for kind, _ in probes} - problems.keys())
    reason = ""
    if len(good) < LEAST_SHARE_OF_KINDS * len(kinds):
        common, _ = Counter(problems.values()).most_common(1)[0]
        reason = f"only {len(good)} of {len(kinds)} kinds of content are supported; most common reason: {common}"
    return LanguageReport(lang=lang, kinds=good, problems=problems, reason=reason)


def _probe_texts(lang: str, form: str, kind: str) -> tuple[list[str], str]:
    texts, reason = [], ""
    for index in range(_PROBES_PER_KIND):
        try:
            texts.append(render(content(_PROBE_SEED, index, kinds=[kind]), lang, form))
        except RenderingError as error:
            reason = f"{error}"
    return texts, reason


def _listen(lang: str, engine: EspeakEngine, probes: Sequence[tuple[str, str]]) -> dict[str, str]:
    voice = espeak_voice(lang)
    requests = [SpeechRequest(text=text, voice=voice) for _, text in probes]
    switched: Counter[str] = Counter()
    problems = {}
    for (kind, text), phonemes in zip(probes, engine.phonemes_block(requests), strict=True):
        if not phonemes.strip():
            problems[kind] = f"espeak-ng has no voice {voice!r}, or it has no phonemes for {text!r}"
        others = {match for match in _SWITCH.findall(phonemes) if match.split("-")[0] != voice.split("-")[0]}
        switched[kind] += bool(others)
        if switched[kind] * 4 > _PROBES_PER_KIND:
            problems[kind] = f"espeak-ng applies the rules of {', '.join(sorted(others)) or 'another language'}"
    spoken: list[tuple[str, SpeechRequest]] = []
    # Probes of one kind follow one another.
    for kind, own in groupby(zip(probes, requests, strict=True), key=lambda pair: pair[0][0]):
        spoken += [(kind, request) for _, request in islice(own, _SPOKEN_PER_KIND)]
    for (kind, request), pcm in zip(spoken, engine.speak_block([request for _, request in spoken]), strict=True):
        if not any(pcm):
            problems[kind] = f"espeak-ng is silent for {request.text!r}"
    return problems
