# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Scores of transcription after transliteration to Latin letters.

Where speakers switch between languages, a foreign word may be written in either script, and the reference has one of
them. Scores of the texts as they are count the other as an error; after transliteration, similar spellings of the same
sounds are similar texts. Requires the extra `transliterate` (uroman).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import metadata

from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.metrics import MetricValue, compute_metric
from mu2slam_hf.evaluation.scores.score import Hypothesis, Score
from mu2slam_hf.evaluation.scores.scoring import MODEL, compute_task_metrics, score_groups, score_hypotheses
from mu2slam_hf.evaluation.scores.unseen_words import TrainingWords, compute_unseen_words, split_words

TRANSLITERATED = "transliterated"


class Transliterator:
    """Transliterates texts of any script to Latin letters with uroman.

    Attributes:
        version: version of the library.

    Raises:
        ImportError: uroman is not installed.
    """

    def __init__(self) -> None:
        try:
            import uroman
        except ImportError as error:
            raise ImportError("texts are transliterated by uroman: pip install 'mu2slam-hf[transliterate]'") from error
        self._uroman = uroman.Uroman()
        self.version = metadata.version("uroman")
        self._romanize = lru_cache(maxsize=2**16)(lambda text: str(self._uroman.romanize_string(text)))

    def transliterate(self, text: str) -> str:
        """A text in Latin letters without accents; normalised as for WER before and after.

        Args:
            text: in any scripts.
        """
        return normalize_for_scoring(self._romanize(normalize_for_scoring(text)))


def score_transliterated(
    hypotheses: Iterable[Hypothesis], transliterator: Transliterator, *, bootstrap: Bootstrap | None = None
) -> list[Score]:
    """WER and CER of transcription with references and hypotheses in Latin letters (group `transliterated`).

    Args:
        hypotheses: those of other tasks than asr are ignored.
        transliterator: transliterates both.
        bootstrap: if given, the scores have 95 % confidence intervals.
    """
    texts = [
        replace(
            h,
            reference=transliterator.transliterate(h.reference),
            hypothesis=transliterator.transliterate(h.hypothesis),
        )
        for h in hypotheses
        if h.task == "asr"
    ]
    suffix = f"|uroman:{transliterator.version}"
    return [
        replace(score, group=TRANSLITERATED, signature=score.signature + suffix)
        for score in score_hypotheses(texts, bootstrap=bootstrap)
    ]


PLAIN = "plain"


def score_plain_translations(hypotheses: Iterable[Hypothesis], *, bootstrap: Bootstrap | None = None) -> list[Score]:
    """BLEU, chrF and TER of translations with references and hypotheses as for WER (group `plain`).

    Args:
        hypotheses: those of other tasks than ast and mt are ignored.
        bootstrap: if given, the scores have 95 % confidence intervals.
    """
    texts = [
        replace(h, reference=normalize_for_scoring(h.reference), hypothesis=normalize_for_scoring(h.hypothesis))
        for h in hypotheses
        if h.task in ("ast", "mt")
    ]
    return [
        replace(score, group=PLAIN, signature=f"{score.signature}|text:nfkc+lower+nopunct")
        for score in score_hypotheses(texts, bootstrap=bootstrap)
    ]


REFERENCE = "reference"
RIGHT_LANGUAGE = "right language"
_TASKS = ("asr", "ast", "mt")
# Languages that the library knows by another code.
_LIBRARY_CODES = {"nb": "no"}


class TextLanguageIdentifier:
    """Identifies the language of short texts with py3langid.

    Args:
        languages: canonical codes of the candidates. Choice: the languages of the model, because short sentences are
            hard to identify among all languages of the library; variants such as `pt` and `pt-BR` are one language.

    Attributes:
        languages: candidates that the library knows, by primary subtag.
        version: version of the library.

    Raises:
        ImportError: py3langid is not installed.
        ValueError: the library knows fewer than two of the languages.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        try:
            import py3langid
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError as error:
            raise ImportError(
                "the language of texts is identified by py3langid: pip install 'mu2slam-hf[langid]'"
            ) from error
        # An object of its own: the functions of the module would restrict the languages of other users, too.
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
        wanted = {_primary(lang) for lang in languages}
        self.languages = sorted(wanted & set(self._identifier.labels))
        if len(self.languages) < 2:
            raise ValueError(
                f"language accuracy needs at least two languages to choose from; of {', '.join(sorted(wanted))} "
                f"py3langid knows {', '.join(self.languages) or 'none'}"
            )
        self._identifier.set_languages(self.languages)
        self.version = str(py3langid.__version__)

    def identify(self, texts: Sequence[str]) -> list[str]:
        """Code of the language of each text by primary subtag; `und` for a text without letters.

        Args:
            texts: sentences.
        """
        return [
            self._identifier.classify(text)[0] if any(char.isalpha() for char in text) else "und" for text in texts
        ]


def score_language_accuracy(
    hypotheses: Iterable[Hypothesis], identifier: TextLanguageIdentifier, *, bootstrap: Bootstrap | None = None
) -> list[Score]:
    """Scores of the language of output texts.

    - `language_accuracy`: percentage of the texts that are in their target language, with means. The same of the
      reference texts (system `reference`) is what the identification itself gets right.
    - the scores of the task for the texts in their target language only (group `right language`).

    Texts in languages that the library does not know are left out.

    Args:
        hypotheses: those of other tasks than asr, ast and mt are ignored.
        identifier: identifies the languages.
        bootstrap: if given, the scores have 95 % confidence intervals.
    """
    chosen = [h for h in hypotheses if h.task in _TASKS and _primary(h.target_lang) in identifier.languages]
    scores: list[Score] = []
    right: list[Hypothesis] = []
    for system in (MODEL, REFERENCE):
        texts = [h.hypothesis if system == MODEL else h.reference for h in chosen]
        found = identifier.identify(texts)
        languages = [replace(h, hypothesis=lang) for h, lang in zip(chosen, found, strict=True)]
        if system == MODEL:
            right = [h for h, lang in zip(chosen, found, strict=True) if lang == _primary(h.target_lang)]

        def compute(task: str, target_lang: str, group: Sequence[Hypothesis]) -> dict[str, MetricValue]:
            codes = [h.hypothesis for h in group]
            value = compute_metric("accuracy", [_primary(target_lang)] * len(codes), codes, bootstrap=bootstrap)
            signature = f"language_accuracy|py3langid:{identifier.version}|languages:{'+'.join(identifier.languages)}"
            return {"language_accuracy": replace(value, signature=signature)}

        scores += score_groups(languages, compute, system=system)
    words = _without_empty_references(right)
    scores += [replace(s, group=RIGHT_LANGUAGE) for s in score_hypotheses(words, bootstrap=bootstrap)]
    return scores


def _without_empty_references(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Without groups that have no reference words, for which there is no error rate."""
    groups: dict[tuple[str, str, str, bool], list[Hypothesis]] = defaultdict(list)
    for h in hypotheses:
        groups[h.task, h.source_lang, h.target_lang, h.source_lang_given].append(h)
    return [h for group in groups.values() if any(split_words(h.reference) for h in group) for h in group]


def _primary(lang: str) -> str:
    primary = lang.split("-")[0]
    return _LIBRARY_CODES.get(primary, primary)


SEEN_WORDS = "seen words"


UNSEEN_WORDS = "unseen words"


def score_word_groups(
    hypotheses: Iterable[Hypothesis], training_words: TrainingWords, *, bootstrap: Bootstrap | None = None
) -> list[Score]:
    """Scores of transcription for recordings with and without words that the training texts do not have.

    The group `seen words` has the recordings whose words all occur in the training texts, `unseen words` those with at
    least one that does not; recordings whose reference has no word are in neither. Both groups have WER, CER and
    `unseen_word_rate`, the share of unseen words among the reference words; `unseen words` also has
    `unseen_word_recall`, the share of unseen words that are recognised.

    Args:
        hypotheses: those of other tasks than asr are ignored.
        training_words: words of the training texts.
        bootstrap: if given, WER and CER have 95 % confidence intervals.
    """
    groups: dict[str, list[Hypothesis]] = {SEEN_WORDS: [], UNSEEN_WORDS: []}
    for hypothesis in hypotheses:
        words = split_words(hypothesis.reference) if hypothesis.task == "asr" else []
        if words:
            is_seen = not training_words.find_unseen(words, hypothesis.target_lang)
            groups[SEEN_WORDS if is_seen else UNSEEN_WORDS].append(hypothesis)

    def compute(task: str, target_lang: str, group: Sequence[Hypothesis]) -> dict[str, MetricValue]:
        texts = [h.reference for h in group], [h.hypothesis for h in group]
        error_rates = compute_task_metrics(task, target_lang, group, bootstrap=bootstrap)
        return error_rates | compute_unseen_words(*texts, training_words, target_lang)

    return [score for name, group in groups.items() for score in score_groups(group, compute, group=name)]
