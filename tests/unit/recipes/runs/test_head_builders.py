# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What a recipe of a head says about training is done, or refused."""

import json
import re
from dataclasses import replace

import pytest
from mslam_batches import make_config
from pretraining_batches import PROCESSOR

from mu2slam_hf import MSLAMForSequenceClassification
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.recipes.data.head_data import build_head_example
from mu2slam_hf.recipes.runs.head_finetuning import HeadFinetuningRun
from mu2slam_hf.recipes.schema.head import HeadCorpusSection, HeadEvaluationSection, HeadRecipe, HeadSection
from mu2slam_hf.recipes.schema.loader import RecipeError, build_section
from mu2slam_hf.recipes.schema.sections import OptimSection, OutputSection, TrainingSection

BEST = {"load_best_model_at_end": True}
QUICK = {"use_cpu": True, "disable_tqdm": True, "report_to": [], "logging_steps": 1}
TEXTS = ("la mesa", "the table", "el mar", "a sea")


def make_recipe(folder, num_corpora: int = 1, **training) -> HeadRecipe:
    corpora = {f"dev{number}": HeadCorpusSection(manifest="none.tsv") for number in range(num_corpora)}
    return HeadRecipe(
        head=HeadSection(kind="sequence_classification"),
        optim=OptimSection(learning_rate=0.02, schedule="warmup_constant", warmup_steps=1),
        training=TrainingSection(**QUICK, **training),
        evaluation=HeadEvaluationSection(corpora=corpora),
        output=OutputSection(dir=str(folder)),
    )


def make_trainer(recipe: HeadRecipe):
    records = [SpeechTextRecord(id=str(number), text=text, lang="es") for number, text in enumerate(TEXTS)]
    texts = ExampleDataset([build_head_example(record, "text", "class", "LABEL_0") for record in records])
    sizes = {"vocab_size": len(PROCESSOR.tokenizer), "text_token_offset": PROCESSOR.tokenizer.text_token_offset}
    model = MSLAMForSequenceClassification(make_config(num_labels=2, **sizes))
    return HeadFinetuningRun(recipe).build_trainer_of(PROCESSOR, model, texts, {"dev0": texts})


def test_the_last_update_is_compared_too(tmp_path):
    recipe = make_recipe(
        tmp_path, max_steps=3, eval_steps=2, metric_for_best_model="accuracy", greater_is_better=True, **BEST
    )
    trainer = make_trainer(recipe)
    assert trainer.args.metric_for_best_model == "dev0_accuracy" and trainer.args.greater_is_better
    trainer.train()
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [logs["step"] for logs in logged if "eval_dev0_loss" in logs] == [2, 3]


def test_activation_checkpointing(tmp_path):
    trainer = make_trainer(make_recipe(tmp_path, max_steps=1, eval_steps=0, activation_checkpointing=True))
    calls = []
    part = trainer.model.model.conformer.layers[-1].conv_norm
    part.register_forward_hook(lambda *_: calls.append(1))
    trainer.train()
    assert len(calls) == 2, "forward, and again for the backward pass"


@pytest.mark.parametrize(
    "training, message",
    [
        ({**BEST, "metric_for_best_model": "wer"}, "expected one of dev_loss, dev_accuracy for this head; got 'wer'"),
        ({**BEST, "metric_for_best_model": "accuracy"}, "must be true for metric_for_best_model 'accuracy'"),
        ({**BEST, "greater_is_better": True}, "must be false for metric_for_best_model 'loss'"),
    ],
)
def test_figures_that_the_evaluation_does_not_give_are_refused(training, message):
    tree = {"training": training, "evaluation": {"corpora": {"dev": {"name": "prompts5"}}}}
    with pytest.raises(RecipeError, match=message):
        build_section(HeadRecipe, tree, "", [])


def test_the_best_checkpoint_needs_one_corpus_by_name(tmp_path):
    with pytest.raises(ValueError, match="requires a corpus in evaluation.corpora"):
        make_recipe(tmp_path, num_corpora=0, load_best_model_at_end=True)
    with pytest.raises(ValueError, match=re.escape("expected one of dev0_loss, dev0_accuracy, dev1_loss")):
        make_recipe(tmp_path, num_corpora=2, load_best_model_at_end=True)
    recipe = make_recipe(tmp_path, num_corpora=2, load_best_model_at_end=True, metric_for_best_model="dev1_loss")
    assert recipe.best_figure == "dev1_loss"
    training = replace(recipe.training, metric_for_best_model="dev1_accuracy", greater_is_better=True)
    with pytest.raises(ValueError, match="expected one of dev0_loss, dev1_loss for this head"):
        replace(recipe, head=HeadSection(kind="ctc"), training=training)
