# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A run of head fine-tuning from data to saved model, with tables and plots of what it gets wrong."""

import json
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers.utils import logging

from mu2slam_hf.data.collation.heads import HeadCollator, HeadDataset
from mu2slam_hf.evaluation.confusion import compute_confusion, format_confusion, save_confusion_plot
from mu2slam_hf.evaluation.metrics import compute_cer, compute_wer
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.recipes.head_builders import (
    build_head_dataset,
    build_head_model,
    build_head_processor,
    build_head_trainer,
    build_training_data,
    find_labels,
    load_head_records,
)
from mu2slam_hf.recipes.head_schema import HeadRecipe
from mu2slam_hf.recipes.run_files import find_resume_checkpoint, save_final, save_recipe

logger = logging.get_logger(__name__)


def run_head(recipe: HeadRecipe) -> dict[str, float]:
    """Train the head, test it on every corpus of the evaluation, and save everything.

    Besides the model, `<output.dir>/final` has `results.json`, and of every test corpus of a classifier
    `confusion_<name>.txt`, `.json` and, where matplotlib is installed, `.png`; of CTC `transcripts_<name>.tsv`.

    Returns:
        `<corpus>_accuracy` and `<corpus>_macro_f1`, or `<corpus>_wer` and `<corpus>_cer`, in percent.
    """
    checkpoint = find_resume_checkpoint(recipe)
    records = load_head_records(recipe.data.corpora, "data.corpora")
    labels = find_labels(recipe, records)
    processor = build_head_processor(recipe, checkpoint)
    model = build_head_model(recipe, processor, labels)
    tested = load_head_records(recipe.evaluation.corpora, "evaluation.corpora")
    development = {
        name: build_head_dataset(
            recipe, part, recipe.evaluation.corpora[name].modality, labels, f"evaluation.corpora.{name}"
        )
        for name, part in tested.items()
    }
    data = build_training_data(recipe, records, labels)
    trainer = build_head_trainer(recipe, processor, model, data, development)
    if trainer.is_world_process_zero():
        save_recipe(recipe, recipe.output.dir)
    trainer.train(resume_from_checkpoint=checkpoint)
    results: dict[str, float] = {}
    if trainer.is_world_process_zero():
        reports: dict[str, Any] = {}
        for name, dataset in development.items():
            measure = _measure_ctc if recipe.head.kind == "ctc" else _measure_classes
            figures, reports[name] = measure(model, processor, dataset, labels, recipe.evaluation.batch_size)
            results.update({f"{name}_{key}": value for key, value in figures.items()})
        final = save_final(recipe, model, processor, results)
        for name, report in reports.items():
            _save_report(report, name, final)
    trainer.accelerator.wait_for_everyone()
    return results


@torch.no_grad()
def predict(model: Any, processor: Any, dataset: HeadDataset, batch_size: int) -> list[Any]:
    """What the model answers on every item: the number of a class, or the best id of every frame."""
    encoder_config = model.config.encoder_config
    loader = DataLoader(
        dataset, batch_size=batch_size, collate_fn=HeadCollator(processor, encoder_config), shuffle=False
    )
    answers: list[Any] = []
    model.eval()
    for batch in loader:
        inputs = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        best = model(**inputs).logits.argmax(dim=-1)
        if best.ndim == 1:
            answers += best.tolist()
        else:
            lengths = encoder_length(inputs["attention_mask"].sum(dim=1), encoder_config)
            answers += [row[:length] for row, length in zip(best.tolist(), lengths.tolist(), strict=True)]
    return answers


def _measure_classes(
    model: Any, processor: Any, dataset: HeadDataset, labels: list[str], batch_size: int
) -> tuple[dict[str, float], Any]:
    answers = predict(model, processor, dataset, batch_size)
    truth = [labels[int(target)] for target in dataset.targets]
    present = [label for label in labels if label in set(truth)]
    matrix = compute_confusion(truth, [labels[answer] for answer in answers], present)
    return {"accuracy": matrix.accuracy, "macro_f1": matrix.macro_f1}, matrix


def _measure_ctc(
    model: Any, processor: Any, dataset: HeadDataset, labels: list[str], batch_size: int
) -> tuple[dict[str, float], Any]:
    rows = predict(model, processor, dataset, batch_size)
    # The tokenizer of CTC takes repeats and blanks out.
    hypotheses = processor.tokenizer.batch_decode(rows, skip_special_tokens=True)
    references = [str(target) for target in dataset.targets]
    figures = {"wer": compute_wer(references, hypotheses).value, "cer": compute_cer(references, hypotheses).value}
    keys = [record.key for record in dataset.records]
    return figures, list(zip(keys, references, hypotheses, strict=True))


def _save_report(report: Any, name: str, folder: Path) -> None:
    """The confusion matrix as table, numbers and picture; or transcripts beside their references."""
    if isinstance(report, list):
        lines = ["\t".join(("id", "reference", "hypothesis")), *("\t".join(row) for row in report)]
        (folder / f"transcripts_{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    table = format_confusion(report)
    print(f"{name}\n{table}", flush=True)
    (folder / f"confusion_{name}.txt").write_text(table + "\n", encoding="utf-8")
    numbers = {"references": report.references, "predictions": report.predictions, "counts": report.counts}
    (folder / f"confusion_{name}.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    try:
        save_confusion_plot(report, folder / f"confusion_{name}.png", f"{name}: accuracy {report.accuracy:.1f} %")
    except ImportError as error:
        logger.warning(f"no plot of {name}: {error}")
