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
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.scores.metrics import MetricValue
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.evaluation.scores.scoring import MEAN, compute_mean_value, format_value, make_score
from mu2slam_hf.evaluation.scores.tables import align_columns
from mu2slam_hf.evaluation.tasks.corpora import build_results
from mu2slam_hf.evaluation.tasks.pair_scores import score_layers, score_pairs
from mu2slam_hf.evaluation.tasks.retrieved_texts import (
    TRANSCRIPT_METRICS,
    TRANSLATION_METRICS,
    choose_candidates,
    recall_value,
    score_retrieved_texts,
)
from mu2slam_hf.inference.representations import ALL_LAYERS, Layer

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
    layer: Layer = None,
    untrained: bool = True,
    seed: int = 0,
    text_lang: str | None = None,
    within_language: bool = False,
    bootstrap: Bootstrap | None = None,
    model_name: str = "",
    data: Mapping[str, Any] | None = None,
) -> EvaluationResults:
    """Recall and ranks over all recordings and texts together, and within each language; scores of the best texts.

    Equal texts are one candidate; all recordings of its utterances are correct for it.

    Args:
        model: see `score_pairs`.
        processor: its processor.
        records: only those with audio and text (or, with `text_lang`, a translation into it) are used.
        scores: names of scores, see `SCORES`.
        layer: the layer whose states are pooled by `mean`. With "all", `scores` must be `mean` alone, and the systems
            are `layer N: NAME`, with the names in `LAYER_SCORES`; see `format_layers` for their table.
        untrained: whether to score a model of the same configuration with random weights too.
        seed: seed of these weights.
        text_lang: retrieve translations into this language instead of transcripts; None means transcripts.
        within_language: whether each language is scored by itself only, one after the other, so that memory is
            bounded; also gives the means over languages. Paper: PaLM 2 DE, section 4, and its Tables 1, 2 and 6.
        bootstrap: if given, recall and the scores of retrieved texts have intervals over sentences.
        model_name: path or name, stored in the record.
        data: corpus, split and options, stored in the record.

    Returns:
        scores of the tasks `retrieval_speech_to_text` and `retrieval_text_to_speech`, metrics `recall@1`, `recall@5`,
        `recall@10` (percent), `mean_rank` and `median_rank` (1 is best); for the retrieved texts also `wer` and `cer`,
        or with `text_lang` `bleu` and `chrf`. `system` is the score, `chance`, or `untrained:SCORE`; `source_lang` is
        `all`, `mean`, or the language to which recordings and texts were restricted.

    Raises:
        ValueError: fewer than two records are suitable, or all layers are asked for with other scores than `mean`.
    """
    if layer == ALL_LAYERS and list(scores) != ["mean"]:
        raise ValueError(f"layer='all' compares the layers by pooled states: the scores must be mean, got {scores}")
    usable = [r for r in records if r.audio is not None and _wanted_text(r, text_lang)]
    if len(usable) < 2:
        what = "text" if text_lang is None else f"a translation into {text_lang}"
        raise ValueError(f"retrieval requires at least two records with audio and {what}, got {len(usable)}")
    started = time.perf_counter()
    models = {"": model}
    if untrained:
        torch.manual_seed(seed)
        models[f"{UNTRAINED}:"] = type(model)(model.config).to(device=model.device, dtype=model.dtype).eval()
    by_language = {lang: [r for r in usable if r.lang == lang] for lang in sorted({r.lang for r in usable})}
    results: list[tuple[Score, MetricValue]] = []
    num_texts = 0
    for own in by_language.values() if within_language else [usable]:
        pairs = ScoredPairs.compute(models, processor, own, text_lang, scores, layer=layer)
        num_texts += len(pairs.texts)
        groups = [*([] if within_language else [ALL]), *sorted({record.lang for record in own})]
        for group in groups:
            results += _group_scores(pairs.restrict(group), group, text_lang, bootstrap)
    means = _mean_over_languages(results) if within_language else []
    return build_results(
        model,
        usable,
        [score for score, _ in results] + means,
        model_name=model_name,
        data={**(data or {}), "num_texts": num_texts},
        settings={
            "scores": list(scores),
            "layer": layer,
            "ties": "against",
            "text_lang": text_lang,
            "within_language": within_language,
            "speech_languages": list(getattr(model.config, "speech_languages", None) or []),
        },
        seed=seed,
        duration_seconds=time.perf_counter() - started,
    )


def _wanted_text(record: SpeechTextRecord, text_lang: str | None) -> str | None:
    return record.text if text_lang is None else record.translations.get(text_lang)


@dataclass(frozen=True, kw_only=True)
class ScoredPairs:
    """Scores of all pairs of some recordings and texts.

    Attributes:
        languages: Q languages of the recordings.
        wanted: Q right texts.
        texts: C texts.
        systems: name -> `(Q, C)` scores.
    """

    languages: list[str]
    wanted: list[str]
    texts: list[str]
    systems: Mapping[str, Tensor]

    @classmethod
    def compute(
        cls,
        models: Mapping[str, Any],
        processor: Any,
        records: Sequence[SpeechTextRecord],
        text_lang: str | None,
        scores: Sequence[str],
        *,
        layer: Layer,
    ) -> "ScoredPairs":
        """Score all pairs of records by some models; their names precede those of the scores."""
        wanted = [_wanted_text(record, text_lang) or "" for record in records]
        # Each text once, with the language of its first occurrence.
        languages = {text: text_lang or r.lang for text, r in reversed(list(zip(wanted, records, strict=True)))}
        texts = list(dict.fromkeys(wanted))
        audio = [record.audio for record in records]
        systems: dict[str, Tensor] = {}
        for prefix, model in models.items():
            if layer == ALL_LAYERS:
                for number, by_name in score_layers(model, processor, audio, texts).items():
                    systems |= {f"{prefix}layer {number}: {name}": values for name, values in by_name.items()}
                continue
            options: dict[str, Any] = {"layer": layer, "text_languages": [languages[text] for text in texts]}
            options["audio_languages"] = [record.lang for record in records]
            values_by_score = score_pairs(model, processor, audio, texts, scores, **options)
            systems |= {f"{prefix}{name}": values for name, values in values_by_score.items()}
        return cls(languages=[record.lang for record in records], wanted=wanted, texts=texts, systems=systems)

    def restrict(self, group: str) -> "ScoredPairs":
        """Those of the recordings of a language, and their texts; of `all`, everything."""
        rows = [row for row, lang in enumerate(self.languages) if group in (ALL, lang)]
        own = {self.wanted[row] for row in rows}
        columns = [column for column, text in enumerate(self.texts) if text in own]
        return ScoredPairs(
            languages=[self.languages[row] for row in rows],
            wanted=[self.wanted[row] for row in rows],
            texts=[self.texts[column] for column in columns],
            systems={name: values[rows][:, columns] for name, values in self.systems.items()},
        )

    @property
    def relevant(self) -> Tensor:
        """`(Q, C)` bool, True where the text is right."""
        places = {text: place for place, text in enumerate(self.texts)}
        return torch.nn.functional.one_hot(torch.tensor([places[text] for text in self.wanted]), len(places)).bool()


def _group_scores(
    pairs: ScoredPairs, group: str, text_lang: str | None, bootstrap: Bootstrap | None
) -> list[tuple[Score, MetricValue]]:
    results = []
    shared: dict[str, Any] = {"source_lang": group, "target_lang": text_lang or group, "source_lang_given": False}
    for direction in DIRECTIONS:
        to_text = direction == DIRECTIONS[0]
        relevant = pairs.relevant if to_text else pairs.relevant.T
        signature = f"{relevant.shape[1]} candidates, ties against"
        chance = chance_figures(relevant)
        values = {CHANCE: _figure_values(chance, signature)}
        for name, scores in pairs.systems.items():
            chosen = scores if to_text else scores.T
            ranks = rank_candidates(chosen, relevant)
            values[name] = _figure_values(summarize_ranks(ranks, relevant.shape[1]), signature)
            if bootstrap is not None:
                sentences = pairs.wanted if to_text else pairs.texts
                recalls = {k: recall_value(ranks, sentences, k, signature, bootstrap) for k in RECALLS}
                values[name] |= {f"recall@{k}": value for k, value in recalls.items()}
            if to_text and group != ALL:
                values[name] |= score_retrieved_texts(
                    [pairs.texts[column] for column in choose_candidates(chosen, relevant)],
                    pairs.wanted,
                    text_lang=text_lang or group,
                    metrics=TRANSCRIPT_METRICS if text_lang is None else TRANSLATION_METRICS,
                    bootstrap=bootstrap,
                )
        for system, metrics in values.items():
            for metric, value in metrics.items():
                fields = {"task": f"retrieval_{direction}", "metric": metric, "system": system, **shared}
                results.append((make_score(value, **fields), value))
    return results


def _figure_values(figures: RetrievalFigures, signature: str) -> dict[str, MetricValue]:
    values = {f"recall@{k}": value for k, value in figures.recall.items()}
    values |= {"mean_rank": figures.mean_rank, "median_rank": figures.median_rank}
    return {
        metric: MetricValue(value=value, signature=signature, num_items=figures.num_queries)
        for metric, value in values.items()
    }


def _mean_over_languages(results: Sequence[tuple[Score, MetricValue]]) -> list[Score]:
    """Unweighted means over languages of every figure."""
    groups: dict[tuple[str, str, str], list[MetricValue]] = {}
    for score, value in results:
        groups.setdefault((score.task, score.system, score.metric), []).append(value)
    shared: dict[str, Any] = {"source_lang": MEAN, "target_lang": MEAN, "source_lang_given": False}
    return [
        make_score(compute_mean_value(values), task=task, system=system, metric=metric, **shared)
        for (task, system, metric), values in groups.items()
    ]


def format_retrieval(results: EvaluationResults, group: str = ALL) -> str:
    """A plain-text table of one group, with a block for each direction.

    Args:
        results: of `evaluate_retrieval`.
        group: a language, or `all`; of a record within languages, their mean instead.
    """
    if group == ALL and not results.find(source_lang=ALL):
        group = MEAN
    blocks = []
    for direction in DIRECTIONS:
        chosen = results.find(task=f"retrieval_{direction}", source_lang=group)
        metrics = list(dict.fromkeys(score.metric for score in chosen))
        rows = [[direction.replace("_", " "), *metrics]]
        for system in dict.fromkeys(score.system for score in chosen):
            values = {score.metric: format_value(score) for score in chosen if score.system == system}
            rows.append([system, *(values.get(metric, "-") for metric in metrics)])
        lines = align_columns(rows)
        what = "languages" if group == MEAN else "queries"
        lines[0] += f"   [{chosen[0].num_items} {what}, {chosen[0].signature}]"
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
