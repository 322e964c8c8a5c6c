# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Corpus-level scores: WER and CER from edit distances, BLEU and chrF from sacreBLEU with their signatures.

All rates and scores are in percent, as papers print them. A list of references holds one reference per utterance.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from mu2slam_hf.data.text import normalize_for_scoring

# Languages whose words sacreBLEU's default tokenizer does not find. Choice: characters where the better tokenizers
# need more than pip (MeCab); the signature says which one was used.
_BLEU_TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """One corpus-level score.

    Attributes:
        value: percent; for rates lower is better and more than 100 is possible, for BLEU and chrF higher is better.
        signature: how it was computed, enough to compute it again.
        num_items: utterances that were scored.
    """

    value: float
    signature: str
    num_items: int


def edit_distance(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> int:
    """Smallest number of insertions, deletions and substitutions that turn one sequence into the other."""
    return Levenshtein.distance(reference, hypothesis)


def compute_wer(references: Sequence[str], hypotheses: Sequence[str], *, normalize: bool = True) -> MetricValue:
    """Word error rate of a corpus: all edits over all reference words.

    Args:
        references: what was said.
        hypotheses: what was recognised, in the same order.
        normalize: lower case and no punctuation on both sides first, see `normalize_for_scoring`.

    Raises:
        ValueError: different lengths, or no reference word at all.
    """
    references, hypotheses = _prepared(references, hypotheses, normalize)
    value = _error_rate([text.split() for text in references], [text.split() for text in hypotheses], "words")
    return MetricValue(value=value, signature=_rate_signature("wer", normalize), num_items=len(references))


def compute_cer(references: Sequence[str], hypotheses: Sequence[str], *, normalize: bool = True) -> MetricValue:
    """Character error rate of a corpus; a single space between words counts as a character.

    Args and errors as in `compute_wer`.
    """
    references, hypotheses = _prepared(references, hypotheses, normalize)
    references = [" ".join(text.split()) for text in references]
    hypotheses = [" ".join(text.split()) for text in hypotheses]
    value = _error_rate(references, hypotheses, "characters")
    return MetricValue(value=value, signature=_rate_signature("cer", normalize), num_items=len(references))


def compute_bleu(references: Sequence[str], hypotheses: Sequence[str], *, target_lang: str = "en") -> MetricValue:
    """SacreBLEU's corpus BLEU; `target_lang` chooses the tokenizer for languages without spaces."""
    _check_paired(references, hypotheses)
    metric = BLEU(tokenize=_BLEU_TOKENIZERS.get(target_lang.split("-")[0], "13a"))
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return MetricValue(value=value, signature=f"BLEU|{metric.get_signature()}", num_items=len(references))


def compute_chrf(references: Sequence[str], hypotheses: Sequence[str]) -> MetricValue:
    """SacreBLEU's corpus chrF2."""
    _check_paired(references, hypotheses)
    metric = CHRF()
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return MetricValue(value=value, signature=f"chrF2|{metric.get_signature()}", num_items=len(references))


def compute_accuracy(references: Sequence[str], hypotheses: Sequence[str]) -> MetricValue:
    """Share of hypotheses that are exactly right, e.g. of guessed languages."""
    _check_paired(references, hypotheses)
    right = sum(reference == hypothesis for reference, hypothesis in zip(references, hypotheses, strict=True))
    return MetricValue(value=100.0 * right / len(references), signature="accuracy", num_items=len(references))


def compute_mean(values: Sequence[float]) -> float:
    """Unweighted mean: every language or direction counts the same, whatever its size."""
    if not values:
        raise ValueError("there is no score to take the mean of")
    return sum(values) / len(values)


def _prepared(references: Sequence[str], hypotheses: Sequence[str], normalize: bool) -> tuple[list[str], list[str]]:
    _check_paired(references, hypotheses)
    if not normalize:
        return list(references), list(hypotheses)
    return [normalize_for_scoring(text) for text in references], [normalize_for_scoring(text) for text in hypotheses]


def _check_paired(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise ValueError("references and hypotheses must be lists of texts, not one text")
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references but {len(hypotheses)} hypotheses: they must be pairs")
    if not references:
        raise ValueError("there is nothing to score: no reference was given")


def _error_rate(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]], unit: str) -> float:
    length = sum(len(reference) for reference in references)
    if length == 0:
        raise ValueError(f"all references are empty: an error rate needs reference {unit}")
    errors = sum(edit_distance(*pair) for pair in zip(references, hypotheses, strict=True))
    return 100.0 * errors / length


def _rate_signature(name: str, normalize: bool) -> str:
    text = "nfkc+lower+nopunct" if normalize else "as-is"
    return f"{name}|pooled|text:{text}"
