# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Views of hypotheses under which they are scored again: plain translations, Latin letters, languages, unseen words.

The scores of a view have its name as their group, beside the scores of the texts as they are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from importlib import metadata
from typing import Any

from mu2slam_hf.data.text import normalize_for_scoring
from mu2slam_hf.evaluation.scores.confusion import ConfusionMatrix, compute_confusion
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.metrics import MetricValue, compute_metric
from mu2slam_hf.evaluation.scores.score import Hypothesis, Score
from mu2slam_hf.evaluation.scores.scoring import (
    compute_task_metrics,
    score_groups,
)
from mu2slam_hf.evaluation.scores.unseen_words import TrainingWords, compute_unseen_words, split_words
from mu2slam_hf.models.task_types import TRANSLATION_TASKS

PLAIN = "plain"
TRANSLITERATED = "transliterated"
RIGHT_LANGUAGE = "right language"
SEEN_WORDS = "seen words"
UNSEEN_WORDS = "unseen words"
REFERENCE = "reference"
_TASKS = ("asr", *TRANSLATION_TASKS)
# Languages that py3langid knows by another code.
_LIBRARY_CODES = {"nb": "no"}


def _score_view(
    hypotheses: Iterable[Hypothesis],
    tasks: Sequence[str],
    view: Callable[[Hypothesis], Hypothesis | None],
    bootstrap: Bootstrap | None,
    *,
    compute: Callable[..., dict[str, MetricValue]] = compute_task_metrics,
    signature: str = "",
    **fields: Any,
) -> list[Score]:
    """Scores of hypotheses as a view shows them, and their means.

    Args:
        hypotheses: those of other tasks are ignored.
        tasks: tasks that are scored.
        view: the hypothesis to score; None leaves it out.
        bootstrap: if given, the scores have 95 % confidence intervals.
        compute: metrics by name, with the arguments of `compute_task_metrics`.
        signature: what is added to the signatures.
        **fields: further fields of the scores: `system`, `group`.
    """
    shown = [seen for h in hypotheses if h.task in tasks and (seen := view(h)) is not None]
    scores = score_groups(shown, partial(compute, bootstrap=bootstrap), **fields)
    return [replace(score, signature=score.signature + signature) for score in scores]


def _view_of_texts(change: Callable[[str], str]) -> Callable[[Hypothesis], Hypothesis]:
    return lambda h: replace(h, reference=change(h.reference), hypothesis=change(h.hypothesis))


def score_plain_translations(hypotheses: Iterable[Hypothesis], *, bootstrap: Bootstrap | None = None) -> list[Score]:
    """BLEU, chrF and TER of translations with references and hypotheses as for WER (group `plain`).

    Published scores of small corpora are often of texts in lower case without punctuation. Scores of texts as they are
    depend on habits, such as full stops that some references have and others do not.

    Args:
        hypotheses: those of other tasks than ast and mt are ignored.
        bootstrap: if given, the scores have 95 % confidence intervals.
    """
    view, signature = _view_of_texts(normalize_for_scoring), "|text:nfkc+lower+nopunct"
    return _score_view(hypotheses, TRANSLATION_TASKS, view, bootstrap, group=PLAIN, signature=signature)


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

    Where speakers switch between languages, a foreign word may be written in either script, and the reference has one
    of them. Scores of the texts as they are count the other as an error; after transliteration, similar spellings of
    the same sounds are similar texts.

    Args:
        hypotheses: those of other tasks than asr are ignored.
        transliterator: transliterates both.
        bootstrap: if given, the scores have 95 % confidence intervals.
    """
    view, signature = _view_of_texts(transliterator.transliterate), f"|uroman:{transliterator.version}"
    return _score_view(hypotheses, ["asr"], view, bootstrap, group=TRANSLITERATED, signature=signature)


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
    hypotheses = [h for h in hypotheses if _primary(h.target_lang) in identifier.languages]
    signature = f"language_accuracy|py3langid:{identifier.version}|languages:{'+'.join(identifier.languages)}"

    def show_right(hypothesis: Hypothesis) -> Hypothesis | None:
        is_right = identifier.identify([hypothesis.hypothesis]) == [_primary(hypothesis.target_lang)]
        return hypothesis if is_right else None

    def show_reference(hypothesis: Hypothesis) -> Hypothesis:
        return replace(hypothesis, hypothesis=hypothesis.reference)

    def compute(task: str, lang: str, group: Sequence[Hypothesis], **options: Any) -> dict[str, MetricValue]:
        texts = [h.hypothesis for h in group]
        value = compute_metric("accuracy", [_primary(lang)] * len(texts), identifier.identify(texts), **options)
        return {"language_accuracy": replace(value, signature=signature)}

    scores = _score_view(hypotheses, _TASKS, lambda h: h, bootstrap, compute=compute)
    scores += _score_view(hypotheses, _TASKS, show_reference, bootstrap, compute=compute, system=REFERENCE)
    return scores + _score_view(hypotheses, _TASKS, show_right, bootstrap, group=RIGHT_LANGUAGE)


def confuse_languages(
    hypotheses: Iterable[Hypothesis], identifier: TextLanguageIdentifier
) -> dict[str, ConfusionMatrix]:
    """Languages in which texts are written, for each that they should be in, by task.

    Args:
        hypotheses: as in `score_language_accuracy`.
        identifier: identifies the languages.
    """
    by_task: dict[str, list[Hypothesis]] = defaultdict(list)
    for hypothesis in hypotheses:
        if hypothesis.task in _TASKS and _primary(hypothesis.target_lang) in identifier.languages:
            by_task[hypothesis.task].append(hypothesis)
    return {
        task: compute_confusion(
            [_primary(h.target_lang) for h in group], identifier.identify([h.hypothesis for h in group])
        )
        for task, group in by_task.items()
    }


def _primary(lang: str) -> str:
    primary = lang.split("-")[0]
    return _LIBRARY_CODES.get(primary, primary)


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

    def show(has_unseen: bool, hypothesis: Hypothesis) -> Hypothesis | None:
        words = split_words(hypothesis.reference)
        unseen = training_words.find_unseen(words, hypothesis.target_lang)
        return hypothesis if words and bool(unseen) == has_unseen else None

    def compute(task: str, lang: str, group: Sequence[Hypothesis], **options: Any) -> dict[str, MetricValue]:
        texts = [h.reference for h in group], [h.hypothesis for h in group]
        return compute_task_metrics(task, lang, group, **options) | compute_unseen_words(*texts, training_words, lang)

    hypotheses = list(hypotheses)
    seen, unseen = (
        _score_view(hypotheses, ["asr"], partial(show, has_unseen), bootstrap, compute=compute, group=group)
        for has_unseen, group in ((False, SEEN_WORDS), (True, UNSEEN_WORDS))
    )
    return seen + unseen
