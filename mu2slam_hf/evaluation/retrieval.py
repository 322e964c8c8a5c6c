# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Which text belongs to a recording, and which recording to a text, without writing anything down.

Two kinds of scores. `mean`: cosine of mean-pooled encoder states, one vector per item, fast enough for millions; it is
as good as training has brought speech and text together. `ctc`: log probability of the text given the speech by the
model's CTC head, one forward pass per recording and a sum over all alignments per pair; slower, and much better where
the encoder was trained to recognise.

Letters: Q queries, C candidates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
from mu2slam_hf.evaluation.representations import SpeechTextEncoder
from mu2slam_hf.models.modules_alignment import ctc_log_likelihoods
from mu2slam_hf.models.modules_similarity import csls_scores, margin_scores
from mu2slam_hf.models.processing_alignment import iterate_ctc_log_probs, join_units, split_transcript

SCORES = ("mean", "mean-centred", "mean-csls", "mean-margin", "ctc", "ctc-pmi")
"""What pairs are scored by.

`mean`: cosine. `mean-centred`: cosine after each side's own mean is taken off (no pairs are needed for that).
`mean-csls`, `mean-margin`: centred, and corrected for hubs. `ctc`: log p(text | speech). `ctc-pmi`: less the log of
the mean of p(text | speech) over all recordings, so that a text which fits anything a little loses what it has in
advance; for a single recording it says nothing.
"""

RECALLS = (1, 5, 10)


@dataclass(frozen=True, kw_only=True)
class RetrievalFigures:
    """How high the right candidates stand.

    Attributes:
        recall: k -> percent of the queries with a right candidate among the first k.
        mean_rank: of the first right candidate; 1 is best.
        median_rank: likewise.
        num_queries: Q.
        num_candidates: C.
    """

    recall: Mapping[int, float]
    mean_rank: float
    median_rank: float
    num_queries: int
    num_candidates: int


def rank_candidates(scores: Tensor, relevant: Tensor) -> Tensor:
    """Place of the best right candidate of every query, `(Q,)` int64, 1 is first.

    Args:
        scores: `(Q, C)`, higher is better.
        relevant: `(Q, C)` bool, True where the candidate is right.

    Raises:
        ValueError: shapes that differ, NaN, or a query without a right candidate.

    Choice: ties count against us: a wrong candidate with the same score stands before the right one, so that a model
    that gives everything one score comes last and not first.
    """
    if scores.shape != relevant.shape or scores.ndim != 2:
        raise ValueError(f"Expected scores and relevance (Q, C), got {tuple(scores.shape)}, {tuple(relevant.shape)}.")
    if scores.isnan().any():
        raise ValueError("The scores hold NaN.")
    if not relevant.any(dim=1).all():
        raise ValueError(f"Query {int((~relevant.any(dim=1)).nonzero()[0])} has no right candidate.")
    best = scores.masked_fill(~relevant, -math.inf).amax(dim=1, keepdim=True)
    return ((scores >= best) & ~relevant).sum(dim=1) + 1


def summarize_ranks(ranks: Tensor, num_candidates: int) -> RetrievalFigures:
    """Recall at 1, 5, 10 and mean and median of ranks `(Q,)`."""
    return RetrievalFigures(
        recall={k: 100.0 * float((ranks <= k).double().mean()) for k in RECALLS},
        mean_rank=float(ranks.double().mean()),
        # torch's median is the lower one of an even number.
        median_rank=float(ranks.double().quantile(0.5)),
        num_queries=len(ranks),
        num_candidates=num_candidates,
    )


def chance_figures(relevant: Tensor) -> RetrievalFigures:
    """What candidates in random order are expected to give; the median is that of the expected ranks.

    Args:
        relevant: `(Q, C)` bool.
    """
    queries, candidates = relevant.shape
    right = relevant.sum(dim=1).tolist()

    def hit(number: int, k: int) -> float:
        return 1.0 - math.comb(candidates - number, k) / math.comb(candidates, k) if k <= candidates else 1.0

    # The first of r right ones has (C - r) / (r + 1) wrong ones before it.
    ranks = torch.tensor([1 + (candidates - number) / (number + 1) for number in right], dtype=torch.float64)
    return RetrievalFigures(
        recall={k: 100.0 * sum(hit(number, k) for number in right) / queries for k in RECALLS},
        mean_rank=float(ranks.mean()),
        median_rank=float(ranks.quantile(0.5)),
        num_queries=queries,
        num_candidates=candidates,
    )


def score_pairs(
    model: Any,
    processor: Any,
    audio: Sequence[Any],
    texts: Sequence[str],
    scores: Sequence[str] = ("ctc-pmi",),
    *,
    layer: int | None = None,
) -> dict[str, Tensor]:
    """Scores of all recordings with all texts.

    Args:
        model: with a shared encoder, and for `ctc` with a CTC head; in evaluation mode. It is told no language.
        processor: its processor.
        audio: Q recordings, as `load_audio` takes them.
        texts: C texts.
        scores: of `SCORES`; those of one kind share the passes through the model.
        layer: whose states `mean` pools, see `encode_in_batches`.

    Returns:
        score -> `(Q, C)` float64; -inf where a text cannot be spelled or needs more frames than there are.

    Raises:
        ValueError: another score, or none of the texts can be spelled.
    """
    unknown = sorted(set(scores) - set(SCORES))
    if unknown:
        raise ValueError(f"unknown scores {unknown}; there are {', '.join(SCORES)}")
    found: dict[str, Tensor] = {}
    if any(name.startswith("mean") for name in scores):
        found |= _mean_scores(SpeechTextEncoder(model, processor, layer=layer), audio, texts)
    if any(name.startswith("ctc") for name in scores):
        likelihoods = compute_ctc_scores(model, processor, audio, texts)
        # log p(t | s) - log mean over s' of p(t | s')
        prior = likelihoods.logsumexp(dim=0) - math.log(len(likelihoods))
        found |= {"ctc": likelihoods, "ctc-pmi": (likelihoods - prior).nan_to_num(nan=-math.inf)}
    return {name: found[name] for name in scores}


def _mean_scores(encoder: SpeechTextEncoder, audio: Sequence[Any], texts: Sequence[str]) -> dict[str, Tensor]:
    speech, text = encoder.encode_speech(audio).double(), encoder.encode_text(texts).double()
    plain = encoder.similarity(speech, text)
    centred = encoder.fit_centers(speech, text).similarity(speech, text)
    return {
        "mean": plain,
        "mean-centred": centred,
        "mean-csls": csls_scores(centred),
        "mean-margin": margin_scores(centred),
    }


@torch.no_grad()
def compute_ctc_scores(model: Any, processor: Any, audio: Sequence[Any], texts: Sequence[str]) -> Tensor:
    """Log probability of each text given each recording, `(Q, C)` float64, over all alignments.

    Characters that the vocabulary cannot spell are left out, as in forced alignment; a text of nothing else gets -inf.

    Args:
        model: with a CTC head.
        processor: its processor.
        audio: Q recordings.
        texts: C texts.

    Raises:
        ValueError: the model has no CTC head, or no text can be spelled.
    """
    spelled: dict[int, list[int]] = {}
    for place, text in enumerate(texts):
        try:
            units, _ = split_transcript(text, processor.tokenizer)
        except ValueError:
            continue
        ids, _ = join_units([unit for unit in units if min(unit.ids) >= 0], processor.tokenizer)
        spelled[place] = ids
    if not spelled:
        raise ValueError("none of the texts can be spelled with the vocabulary of the model")
    scores = torch.full((len(audio), len(texts)), -math.inf, dtype=torch.float64)
    # The loss needs only the columns that occur; the blank comes first.
    columns = [model.config.pad_token_id, *sorted({index for ids in spelled.values() for index in ids})]
    places = {index: place for place, index in enumerate(columns)}
    labels = [[places[index] for index in ids] for ids in spelled.values()]
    for row, recording in enumerate(audio):
        inputs = processor(audio=[load_audio(recording)], sampling_rate=SAMPLING_RATE, return_tensors="pt")
        windows = iterate_ctc_log_probs(model.eval(), inputs[model.main_input_name][0])
        log_probs = torch.cat([window[:, columns] for window in windows])
        scores[row, list(spelled)] = ctc_log_likelihoods(log_probs, labels)
    return scores
