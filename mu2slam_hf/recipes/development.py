# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Development sets of supervised training, and metrics of generated text."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.sampling.bucketed import BucketedPlan
from mu2slam_hf.data.sampling.mixture import Mixture
from mu2slam_hf.evaluation.decode import build_requests, decode_requests
from mu2slam_hf.evaluation.metrics import compute_cer, compute_chrf, compute_wer
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.curriculum import build_corpus_examples
from mu2slam_hf.recipes.processors import build_token_counter
from mu2slam_hf.recipes.records import Records
from mu2slam_hf.training.development import DevelopmentSet
from mu2slam_hf.training.scorers import TranscriptScorer


def build_development_sets(
    recipe: Any, records: Records, processor: Any, build_collator: Callable[[], Any]
) -> dict[str, DevelopmentSet]:
    """Development sets by the names of `evaluation.corpora`, with all targets and the source languages."""
    section = recipe.evaluation
    collator = build_collator()
    scorer = TranscriptScorer(
        decode=lambda rows: processor.tokenizer.batch_decode(rows, skip_special_tokens=True),
        compare=score_transcripts,
        languages=list(processor.languages),
    )
    count_tokens = build_token_counter(processor.tokenizer)
    sets = {}
    for name, corpus in section.corpora.items():
        examples = build_corpus_examples(recipe, {name: corpus}, records, section.batch, count_tokens)
        dataset = ExampleDataset(examples, DrawOptions(), cache=AudioCache(), seed=recipe.training.seed)
        plan = BucketedPlan(Mixture(examples), dataset.cost_of, section.batch, shuffle=False)
        batches = [batch for step in plan.plan(0) for batch in step]
        sets[name] = DevelopmentSet(dataset=dataset, batches=batches, collator=collator, scorer=scorer)
    return sets


def score_transcripts(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Error rates in percent, after the normalisation of evaluation."""
    return {
        "cer": compute_cer(references, hypotheses).value,
        "wer": compute_wer(references, hypotheses).value,
    }


def build_generation_metrics(
    recipe: Any, records: Records, processor: Mu2SLAMProcessor
) -> Callable[[nn.Module], dict[str, float]] | None:
    """WER and chrF of generated text on a few development examples of each corpus and task."""
    section = recipe.evaluation
    if section.generate_examples <= 0 or not section.corpora:
        return None
    chosen = {}
    for name, corpus in section.corpora.items():
        for task in corpus.tasks:
            requests = build_requests(records[name], [task])
            count = min(len(requests), section.generate_examples)
            chosen[name, task] = [requests[len(requests) * i // count] for i in range(count)]

    def measure(model: nn.Module) -> dict[str, float]:
        figures = {}
        for (name, task), requests in chosen.items():
            hypotheses = decode_requests(requests, model, processor, progress=False, **section.generate_kwargs)
            references, texts = [h.reference for h in hypotheses], [h.hypothesis for h in hypotheses]
            prefix = task if len(section.corpora) == 1 else f"{name}_{task}"
            if task == "asr":
                figures[f"{prefix}_wer"] = compute_wer(references, texts).value
            else:
                figures[f"{prefix}_chrf"] = compute_chrf(references, texts).value
        return figures

    return measure
