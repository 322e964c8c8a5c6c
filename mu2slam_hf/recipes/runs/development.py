# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Development sets of supervised training, and metrics of generated text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.examples.token_counts import build_token_counter
from mu2slam_hf.data.sampling.bucketed import BucketedPlan
from mu2slam_hf.data.sampling.mixture import Mixture
from mu2slam_hf.data.selection import spread_evenly
from mu2slam_hf.evaluation.scores.metrics import compute_cer, compute_chrf, compute_wer
from mu2slam_hf.evaluation.tasks.decode import DecodingRequest, build_requests, decode_requests
from mu2slam_hf.inference.representations import prepare_batches
from mu2slam_hf.models.generation_tokens import find_best_tokens
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.recipes.data.curriculum import build_corpus_examples
from mu2slam_hf.recipes.data.records import Records
from mu2slam_hf.training.development import DevelopmentSet
from mu2slam_hf.training.scorers import TranscriptScorer, collapse_ctc


def build_development_sets(
    recipe: Any, records: Records, processor: Any, build_collator: Callable[[], Any], config: Any
) -> dict[str, DevelopmentSet]:
    """Development sets by the names of `evaluation.corpora`, with all targets and the source languages.

    Args:
        recipe: recipe of the run.
        records: development records by corpus.
        processor: processor of the model.
        build_collator: a new collator.
        config: configuration of the model.
    """
    section = recipe.evaluation
    collator = build_collator()
    scorer = TranscriptScorer(
        decode=lambda rows: processor.tokenizer.batch_decode(rows, skip_special_tokens=True),
        compare=score_transcripts,
        config=config,
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
    section: Any, tasks: Mapping[str, Sequence[str]], records: Records, processor: Mu2SLAMProcessor
) -> Callable[[Any], dict[str, float]] | None:
    """Figures of generated text on a few development examples of each corpus and task.

    Args:
        section: with `generate_examples` and `generate_kwargs`.
        tasks: corpus -> those of its tasks that generate text.
        records: development records by corpus.
        processor: processor of the model.

    Returns:
        A function of the model: WER of transcripts, chrF of translations and, of a model that pre-trains, also WER and
        CER of greedy CTC; None if nothing is generated.
    """
    if section.generate_examples <= 0 or not records:
        return None
    chosen = {}
    for name, corpus_tasks in tasks.items():
        for task in corpus_tasks:
            requests = build_requests(records[name], [task])
            if requests:
                chosen[name, task] = spread_evenly(requests, section.generate_examples)

    def measure(model: Any) -> dict[str, float]:
        pretrains = isinstance(model, Mu2SLAMForPreTraining)
        generator = model.build_generator() if pretrains else model
        figures = {}
        for (name, task), requests in chosen.items():
            hypotheses = decode_requests(requests, generator, processor, progress=False, **section.generate_kwargs)
            references, texts = [h.reference for h in hypotheses], [h.hypothesis for h in hypotheses]
            prefix = task if len(tasks) == 1 else f"{name}_{task}"
            if task == "asr":
                figures[f"{prefix}_wer"] = compute_wer(references, texts).value
            else:
                figures[f"{prefix}_chrf"] = compute_chrf(references, texts).value
            if task == "asr" and pretrains:
                references = [request.reference for request in requests]
                scores = score_transcripts(references, _decode_ctc(requests, generator, processor))
                figures |= {f"{prefix}_ctc_{name}": value for name, value in scores.items()}
        return figures

    return measure


@torch.no_grad()
def _decode_ctc(requests: Sequence[DecodingRequest], model: Any, processor: Mu2SLAMProcessor) -> list[str]:
    """Greedy CTC transcripts, each without tokens that were added for other languages."""
    texts = [""] * len(requests)
    audio = [request.record.audio for request in requests]
    languages = [request.record.lang for request in requests]
    for indices, inputs in prepare_batches(model, processor, audio=audio, source_lang=languages):
        encoded = model.get_encoder()(**inputs)
        logits = model.compute_ctc_logits(encoded.last_hidden_state)
        rows = [processor.language_row(languages[index]) for index in indices]
        best_ids = find_best_tokens(logits, model.config, rows)
        paths = collapse_ctc(best_ids, encoded.attention_mask.sum(-1))
        for index, text in zip(
            indices, processor.tokenizer.batch_decode(paths, skip_special_tokens=True), strict=True
        ):
            texts[index] = text
    return texts
