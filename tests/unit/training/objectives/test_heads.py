# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Heads: an update of eight items is the same in one batch and in four, with our objective as with transformers."""

import pytest
import torch
from mslam_batches import make_config, make_model
from pretraining_batches import PROCESSOR
from tiny_models import tiny_model
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer, TrainingArguments

from mu2slam_hf import MSLAMForAudioClassification, MSLAMForCTC, MSLAMForSequenceClassification, Mu2SLAMForCTC
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.sampling.shuffled import ShuffledBatchSampler
from mu2slam_hf.models.modules_losses import weighted_mean_sum
from mu2slam_hf.training.arguments import MultitaskTrainingArguments
from mu2slam_hf.training.objectives.heads import ClassificationObjective, CTCObjective
from mu2slam_hf.training.trainer import MultitaskTrainer

NUM_ITEMS = 8
# Text in the vocabularies of both tiny models.
FIRST_TOKEN, LAST_TOKEN = 97, 111


def make_head(head_class, reduction: str):
    """A head with the same weights at each call; tiny models have no dropout."""
    if head_class is Mu2SLAMForCTC:
        model = Mu2SLAMForCTC.from_conditional_generation(tiny_model())
    elif head_class is MSLAMForCTC:
        model = MSLAMForCTC.from_pretraining(make_model())
    else:
        torch.manual_seed(0)
        model = head_class(make_config(num_labels=3))
    model.config.ctc_loss_reduction = reduction
    return model


def make_items(is_ctc: bool) -> list[dict]:
    """Speech of one length, with transcripts of 1 to 8 tokens or with classes."""
    generator = torch.Generator().manual_seed(1)
    items = []
    for number in range(NUM_ITEMS):
        tokens = torch.randint(FIRST_TOKEN, LAST_TOKEN + 1, (number + 1,), generator=generator)
        labels = tokens if is_ctc else torch.tensor(number % 3)
        items.append({"input_features": torch.randn(80, 80, generator=generator), "labels": labels})
    return items


def collate(items: list[dict]) -> dict:
    labels = [item["labels"] for item in items]
    together = torch.stack(labels) if labels[0].ndim == 0 else pad_sequence(labels, True, padding_value=-100)
    features = torch.stack([item["input_features"] for item in items])
    mask = torch.ones(features.shape[:2], dtype=torch.int64)
    return {"input_features": features, "attention_mask": mask, "labels": together}


def update_once(model, is_ctc: bool, batch_size: int, folder) -> tuple[dict, float]:
    """Change of every parameter, and the norm of the gradient, of one update on all items."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    args = TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=NUM_ITEMS // batch_size,
        optim="sgd",
        learning_rate=1.0,
        max_grad_norm=1e6,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
        label_names=["labels"],
    )
    trainer = Trainer(model=model, args=args, train_dataset=make_items(is_ctc), data_collator=collate)
    trainer.train()
    norm = next(logs["grad_norm"] for logs in trainer.state.log_history if "grad_norm" in logs)
    return {name: parameter.detach() - before[name] for name, parameter in model.named_parameters()}, float(norm)


@pytest.mark.parametrize(
    "head_class, reduction",
    [
        (MSLAMForSequenceClassification, "mean"),
        (MSLAMForAudioClassification, "mean"),
        (MSLAMForCTC, "mean"),
        (MSLAMForCTC, "sum"),
        (Mu2SLAMForCTC, "mean"),
    ],
)
def test_one_batch_of_eight_is_four_of_two(head_class, reduction, tmp_path):
    is_ctc = head_class in (MSLAMForCTC, Mu2SLAMForCTC)
    whole, norm = update_once(make_head(head_class, reduction), is_ctc, 8, tmp_path)
    parts, norm_of_parts = update_once(make_head(head_class, reduction), is_ctc, 2, tmp_path)
    assert norm > 0 and norm_of_parts == pytest.approx(norm, rel=1e-4)
    for name, change in whole.items():
        torch.testing.assert_close(parts[name], change, rtol=1e-3, atol=1e-5 * norm, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("head_class", [MSLAMForSequenceClassification, MSLAMForCTC, Mu2SLAMForCTC])
def test_the_objective_gives_the_gradients_of_transformers(head_class, tmp_path):
    is_ctc = head_class in (MSLAMForCTC, Mu2SLAMForCTC)
    changes, norm = update_once(make_head(head_class, "mean"), is_ctc, 8, tmp_path)
    model = make_head(head_class, "mean")
    objective = (CTCObjective if is_ctc else ClassificationObjective)(model)
    items = make_items(is_ctc)
    batches = [collate(items[first : first + 2]) for first in range(0, NUM_ITEMS, 2)]
    counts = sum(objective.stack(objective.count(batch)) for batch in batches)
    for batch in batches:
        outputs = objective.forward(model, {**batch, "record_ids": ["a", "b"]}, step=0)
        assert outputs.loss is None, "labels stay with the objective"
        weighted_mean_sum(objective.stack(objective.sum(outputs, batch, is_training=True)), counts).backward()
    for name, parameter in model.named_parameters():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(
            -grad, changes[name], rtol=1e-3, atol=1e-5 * norm, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("head_class", [MSLAMForSequenceClassification, MSLAMForAudioClassification])
def test_the_mean_of_a_classifier_is_left_to_the_trainer(head_class, tmp_path):
    """Else several processes would multiply it by their number."""
    trainer = Trainer(make_head(head_class, "mean"), TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"))
    assert not trainer.model_accepts_loss_kwargs


@pytest.mark.parametrize("head_class", [MSLAMForCTC, Mu2SLAMForCTC])
def test_the_divisor_of_ctc_is_that_of_the_whole_update(head_class):
    model, batch = make_head(head_class, "mean"), collate(make_items(True))
    own = int((batch["labels"] >= 0).sum())
    loss = model(**batch).loss
    assert loss > 0
    for number in (4 * own, torch.tensor(4 * own)):
        torch.testing.assert_close(model(**batch, num_items_in_batch=number).loss, loss / 4)
    nothing = torch.full_like(batch["labels"], -100)
    assert model(**batch | {"labels": nothing}, num_items_in_batch=torch.tensor(0)).loss == 0


def make_trainer(folder) -> MultitaskTrainer:
    """A classifier of eight texts in batches of three, with dropout."""
    tokenizer = PROCESSOR.tokenizer
    sizes = {"vocab_size": len(tokenizer), "text_token_offset": tokenizer.text_token_offset}
    torch.manual_seed(0)
    model = MSLAMForSequenceClassification(make_config(num_labels=2, classifier_dropout=0.3, **sizes))
    targets = [Target(task="class", lang="en", text="ab"[number % 2], num_tokens=1) for number in range(NUM_ITEMS)]
    examples = [
        Example(id=f"x{n}", source_modality="text", source_lang="en", targets=(target,), source_text="a" * (n + 1))
        for n, target in enumerate(targets)
    ]
    return MultitaskTrainer(
        model,
        MultitaskTrainingArguments(
            str(folder), max_steps=5, save_steps=2, weight_decay=0.1, use_cpu=True, report_to="none", disable_tqdm=True
        ),
        objective=ClassificationObjective(model),
        train_dataset=ExampleDataset(examples),
        train_batch_sampler=ShuffledBatchSampler(examples, 3),
        data_collator=HeadCollator(PROCESSOR, labels=["a", "b"]),
    )


def test_a_resumed_run_ends_with_the_same_weights_and_the_other_modality_stays_as_it_was(tmp_path):
    whole, again = make_trainer(tmp_path / "whole"), make_trainer(tmp_path / "again")
    before = {name: value.clone() for name, value in whole.model.state_dict().items()}
    whole.train()
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    after = whole.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in again.model.state_dict().items())
    changed = {name for name, _ in whole.model.named_parameters() if not torch.equal(after[name], before[name])}
    assert "classifier.weight" in changed and "model.embed_tokens.weight" in changed
    assert not [name for name in changed if "subsampling" in name or "speech_projection" in name], "no weight decay"
