# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Language of output texts: how many are in the language that was asked for, and the scores of those.

Requires the extra `langid` (py3langid).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mu2slam_hf.evaluation.bootstrap import Bootstrap
from mu2slam_hf.evaluation.hypotheses import Hypothesis
from mu2slam_hf.evaluation.metrics import MetricValue, compute_metric
from mu2slam_hf.evaluation.results import Score
from mu2slam_hf.evaluation.scoring import MODEL, score_groups, score_hypotheses
from mu2slam_hf.evaluation.unseen_words import split_words

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
