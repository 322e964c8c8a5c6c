# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpus-level scores: WER and CER from edit distances, BLEU and chrF from sacreBLEU with their signatures.

All rates and scores are in percent. A list of references holds one reference per utterance.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from mu2slam_hf.data.text import normalize_for_scoring

# Languages that the default tokenizer of sacreBLEU cannot split into words. Choice: characters if better tokenizers
# require more than pip packages (MeCab); the signature contains the tokenizer.
_BLEU_TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """One corpus-level score.

    Attributes:
        value: percent; for rates lower is better and more than 100 is possible, for BLEU and chrF higher is better.
        signature: how it was computed, sufficient to reproduce it.
        num_items: number of utterances scored.
    """

    value: float
    signature: str
    num_items: int


def edit_distance(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> int:
    """Minimum number of insertions, deletions and substitutions that convert one sequence to the other."""
    return Levenshtein.distance(reference, hypothesis)


def compute_wer(references: Sequence[str], hypotheses: Sequence[str], *, normalize: bool = True) -> MetricValue:
    """Word error rate of a corpus: all edits over all reference words.

    Args:
        references: reference transcripts.
        hypotheses: recognised texts, in the same order.
        normalize: whether to convert both sides to lower case without punctuation, see `normalize_for_scoring`.

    Raises:
        ValueError: the lists differ in length, or there are no reference words.
    """
    return _error_rate("wer", "words", str.split, references, hypotheses, normalize)


def compute_cer(references: Sequence[str], hypotheses: Sequence[str], *, normalize: bool = True) -> MetricValue:
    """Character error rate of a corpus; a single space between words counts as a character.

    Args and errors as in `compute_wer`.
    """
    return _error_rate("cer", "characters", lambda text: " ".join(text.split()), references, hypotheses, normalize)


def compute_bleu(references: Sequence[str], hypotheses: Sequence[str], *, target_lang: str = "en") -> MetricValue:
    """SacreBLEU's corpus BLEU; `target_lang` chooses the tokenizer for languages without spaces."""
    tokenizer = _BLEU_TOKENIZERS.get(target_lang.split("-")[0], "13a")
    return _sacrebleu("BLEU", BLEU(tokenize=tokenizer), references, hypotheses)


def compute_chrf(references: Sequence[str], hypotheses: Sequence[str]) -> MetricValue:
    """SacreBLEU's corpus chrF2."""
    return _sacrebleu("chrF2", CHRF(), references, hypotheses)


def compute_accuracy(references: Sequence[str], hypotheses: Sequence[str]) -> MetricValue:
    """Percentage of hypotheses that equal the reference, for example of predicted languages."""
    _check_paired(references, hypotheses)
    right = sum(reference == hypothesis for reference, hypothesis in zip(references, hypotheses, strict=True))
    return MetricValue(value=100.0 * right / len(references), signature="accuracy", num_items=len(references))


def compute_mean(values: Sequence[float]) -> float:
    """Unweighted mean over languages or directions."""
    if not values:
        raise ValueError("cannot compute the mean of no scores")
    return sum(values) / len(values)


def _check_paired(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise ValueError("references and hypotheses must be lists of texts, not one text")
    if len(references) != len(hypotheses):
        raise ValueError(f"got {len(references)} references but {len(hypotheses)} hypotheses")
    if not references:
        raise ValueError("nothing to score: the list of references is empty")


def _error_rate(
    name: str,
    unit: str,
    split: Callable[[str], Sequence[str]],
    references: Sequence[str],
    hypotheses: Sequence[str],
    normalize: bool,
) -> MetricValue:
    _check_paired(references, hypotheses)
    expected, actual = (
        [split(normalize_for_scoring(text) if normalize else text) for text in texts]
        for texts in (references, hypotheses)
    )
    length = sum(map(len, expected))
    if length == 0:
        raise ValueError(f"all references are empty: an error rate requires reference {unit}")
    errors = sum(map(edit_distance, expected, actual))
    signature = f"{name}|pooled|text:{'nfkc+lower+nopunct' if normalize else 'as-is'}"
    return MetricValue(value=100.0 * errors / length, signature=signature, num_items=len(references))


def _sacrebleu(name: str, metric: BLEU | CHRF, references: Sequence[str], hypotheses: Sequence[str]) -> MetricValue:
    _check_paired(references, hypotheses)
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return MetricValue(value=value, signature=f"{name}|{metric.get_signature()}", num_items=len(references))
