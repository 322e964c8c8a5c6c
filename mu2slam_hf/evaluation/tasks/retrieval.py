# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of retrieval on a corpus in both directions, compared with chance and with an untrained model."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.evaluation.scores.tables import align_columns
from mu2slam_hf.evaluation.tasks.corpora import build_results
from mu2slam_hf.evaluation.tasks.pair_scores import score_pairs

DIRECTIONS = ("speech_to_text", "text_to_speech")
CHANCE, UNTRAINED = "chance", "untrained"
ALL = "all"
RECALLS = (1, 5, 10)


@dataclass(frozen=True, kw_only=True)
class RetrievalFigures:
    """Ranks of the correct candidates.

    Attributes:
        recall: maps k to the percentage of queries with a correct candidate among the first k.
        mean_rank: mean rank of the first correct candidate; 1 is best.
        median_rank: median rank, likewise.
        num_queries: Q.
        num_candidates: C.
    """

    recall: Mapping[int, float]
    mean_rank: float
    median_rank: float
    num_queries: int
    num_candidates: int


def rank_candidates(scores: Tensor, relevant: Tensor) -> Tensor:
    """Rank of the best correct candidate of every query, `(Q,)` int64; 1 is first.

    Args:
        scores: `(Q, C)`, higher is better.
        relevant: `(Q, C)` bool, True where the candidate is correct.

    Raises:
        ValueError: shapes differ, scores contain NaN, or a query has no correct candidate.

    Choice: wrong candidates with the same score are ranked before the correct one, so that a model with a constant
    score ranks last.
    """
    if scores.shape != relevant.shape or scores.ndim != 2:
        raise ValueError(f"Expected scores and relevance (Q, C), got {tuple(scores.shape)}, {tuple(relevant.shape)}.")
    if scores.isnan().any():
        raise ValueError("The scores contain NaN.")
    if not relevant.any(dim=1).all():
        raise ValueError(f"Query {int((~relevant.any(dim=1)).nonzero()[0])} has no correct candidate.")
    best = scores.masked_fill(~relevant, -math.inf).amax(dim=1, keepdim=True)
    return ((scores >= best) & ~relevant).sum(dim=1) + 1


def summarize_ranks(ranks: Tensor, num_candidates: int) -> RetrievalFigures:
    """Recall at 1, 5, 10 and mean and median of ranks `(Q,)`."""
    return RetrievalFigures(
        recall={k: 100.0 * float((ranks <= k).double().mean()) for k in RECALLS},
        mean_rank=float(ranks.double().mean()),
        # torch.median returns the lower one for an even number.
        median_rank=float(ranks.double().quantile(0.5)),
        num_queries=len(ranks),
        num_candidates=num_candidates,
    )


def chance_figures(relevant: Tensor) -> RetrievalFigures:
    """Expected figures for candidates in random order; the median is that of the expected ranks.

    Args:
        relevant: `(Q, C)` bool.
    """
    queries, candidates = relevant.shape
    right = relevant.sum(dim=1).tolist()

    def hit(number: int, k: int) -> float:
        return 1.0 - math.comb(candidates - number, k) / math.comb(candidates, k) if k <= candidates else 1.0

    # On average (C - r) / (r + 1) wrong candidates precede the first of r correct ones.
    ranks = torch.tensor([1 + (candidates - number) / (number + 1) for number in right], dtype=torch.float64)
    return RetrievalFigures(
        recall={k: 100.0 * sum(hit(number, k) for number in right) / queries for k in RECALLS},
        mean_rank=float(ranks.mean()),
        median_rank=float(ranks.quantile(0.5)),
        num_queries=queries,
        num_candidates=candidates,
    )


def evaluate_retrieval(
    model: Any,
    processor: Any,
    records: Sequence[SpeechTextRecord],
    *,
    scores: Sequence[str] = ("mean", "ctc", "ctc-pmi"),
    layer: int | None = None,
    untrained: bool = True,
    seed: int = 0,
    text_lang: str | None = None,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
) -> EvaluationResults:
    """Recall and ranks over all recordings and texts together, and within each language.

    Equal texts are one candidate; all recordings of its utterances are correct for it.

    Args:
        model: see `score_pairs`.
        processor: its processor.
        records: only those with audio and text (or, with `text_lang`, a translation into it) are used.
        scores: names of scores, see `SCORES`.
        layer: the layer whose states are pooled.
        untrained: whether to score a model of the same configuration with random weights too.
        seed: seed of these weights.
        text_lang: retrieve translations into this language instead of transcripts; None means transcripts.
        model_name: path or name, stored in the record.
        data: corpus, split and options, stored in the record.

    Returns:
        scores of the tasks `retrieval_speech_to_text` and `retrieval_text_to_speech`, metrics `recall@1`, `recall@5`,
        `recall@10` (percent), `mean_rank` and `median_rank` (1 is best). `system` is the score, `chance`, or
        `untrained:SCORE`; `source_lang` is `all`, or the language to which recordings and texts were restricted.

    Raises:
        ValueError: fewer than two records are suitable.
    """
    usable, wanted = [], []
    for record in records:
        text = record.text if text_lang is None else record.translations.get(text_lang)
        if record.audio is not None and text:
            usable.append(record)
            wanted.append(text)
    if len(usable) < 2:
        what = "text" if text_lang is None else f"a translation into {text_lang}"
        raise ValueError(f"retrieval requires at least two records with audio and {what}, got {len(usable)}")
    started = time.perf_counter()
    audio = [record.audio for record in usable]
    # Each text once, with the language of its first occurrence.
    languages = {text: text_lang or record.lang for text, record in reversed(list(zip(wanted, usable, strict=True)))}
    texts = list(dict.fromkeys(wanted))
    options: dict[str, Any] = {"layer": layer, "text_languages": [languages[text] for text in texts]}
    options["audio_languages"] = [record.lang for record in usable]
    systems = score_pairs(model, processor, audio, texts, scores, **options)
    if untrained:
        torch.manual_seed(seed)
        fresh = type(model)(model.config).to(device=model.device, dtype=model.dtype).eval()
        others = score_pairs(fresh, processor, audio, texts, scores, **options)
        systems |= {f"{UNTRAINED}:{name}": values for name, values in others.items()}
    results = []
    for group in (ALL, *sorted({record.lang for record in usable})):
        rows = [index for index, record in enumerate(usable) if group in (ALL, record.lang)]
        own = {wanted[row] for row in rows}
        columns = [index for index, text in enumerate(texts) if text in own]
        relevant = torch.tensor([[wanted[row] == texts[column] for column in columns] for row in rows])
        results += _group_scores(group, text_lang or group, systems, rows, columns, relevant)
    return build_results(
        model,
        usable,
        results,
        model_name=model_name,
        data={**(data or {}), "num_texts": len(texts)},
        settings={"scores": list(scores), "layer": layer, "ties": "against", "text_lang": text_lang},
        seed=seed,
        duration_seconds=time.perf_counter() - started,
    )


def _group_scores(
    group: str, text_lang: str, systems: Mapping[str, Tensor], rows: list[int], columns: list[int], relevant: Tensor
) -> list[Score]:
    results = []
    for direction in DIRECTIONS:
        right = relevant if direction == DIRECTIONS[0] else relevant.T
        figures = {CHANCE: chance_figures(right)}
        for name, values in systems.items():
            chosen = values[rows][:, columns]
            ranks = rank_candidates(chosen if direction == DIRECTIONS[0] else chosen.T, right)
            figures[name] = summarize_ranks(ranks, right.shape[1])
        for name, item in figures.items():
            results += _as_scores(direction, group, text_lang, name, item)
    return results


def _as_scores(direction: str, group: str, text_lang: str, system: str, figures: RetrievalFigures) -> list[Score]:
    values = {f"recall@{k}": value for k, value in figures.recall.items()}
    values |= {"mean_rank": figures.mean_rank, "median_rank": figures.median_rank}
    return [
        Score(
            task=f"retrieval_{direction}",
            metric=metric,
            value=value,
            source_lang=group,
            target_lang=text_lang,
            source_lang_given=False,
            system=system,
            num_items=figures.num_queries,
            signature=f"{figures.num_candidates} candidates, ties against",
        )
        for metric, value in values.items()
    ]


def format_retrieval(results: EvaluationResults, group: str = ALL) -> str:
    """A plain-text table of one group, with a block for each direction, and recall@1 within each language."""
    blocks = []
    for direction in DIRECTIONS:
        chosen = results.find(task=f"retrieval_{direction}", source_lang=group)
        metrics = list(dict.fromkeys(score.metric for score in chosen))
        rows = [[direction.replace("_", " "), *metrics]]
        for system in dict.fromkeys(score.system for score in chosen):
            values = {score.metric: score.value for score in chosen if score.system == system}
            rows.append([system, *(f"{values[metric]:.1f}" for metric in metrics)])
        lines = align_columns(rows)
        lines[0] += f"   [{chosen[0].num_items} queries, {chosen[0].signature}]"
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
