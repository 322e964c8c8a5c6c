# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Fine-tuning of one head on an mSLAM encoder: classes of speech or text, or CTC."""

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Subset
from transformers import EvalPrediction, Trainer, TrainingArguments
from transformers.utils import logging

from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.collation.heads import HeadCollator
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.example import Example, Modality, Target
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.head_evaluation import measure_head
from mu2slam_hf.models.modeling_mslam import MSLAMForAudioClassification, MSLAMForCTC, MSLAMForSequenceClassification
from mu2slam_hf.models.processing_mu2slam import Mu2SLAMProcessor
from mu2slam_hf.models.tokenization_mu2slam import Mu2SLAMCTCTokenizer
from mu2slam_hf.recipes.arguments import use_own_console
from mu2slam_hf.recipes.head_sections import HeadCorpusSection, HeadRecipe
from mu2slam_hf.recipes.loader import RecipeError, errors_of
from mu2slam_hf.recipes.models import build_model_of
from mu2slam_hf.recipes.processors import build_processor
from mu2slam_hf.recipes.records import load_records
from mu2slam_hf.recipes.run import Run, save_recipe
from mu2slam_hf.training.callbacks import EvaluateAtEnd, LogFile
from mu2slam_hf.training.optim import build_optimizer, build_scheduler

logger = logging.get_logger(__name__)

MODEL_CLASSES: dict[str, Any] = {
    "audio_classification": MSLAMForAudioClassification,
    "sequence_classification": MSLAMForSequenceClassification,
    "ctc": MSLAMForCTC,
}


def load_head_records(corpora: dict[str, HeadCorpusSection], path: str) -> dict[str, list[SpeechTextRecord]]:
    """Records of each corpus that have what its modality needs, in its languages.

    Raises:
        RecipeError: none is left of a corpus.
    """
    chosen = {}
    for name, records in load_records(corpora, path).items():
        section = corpora[name]
        source = "audio" if section.modality == "speech" else "text"
        wanted = set(section.languages)
        chosen[name] = [r for r in records if getattr(r, source) and (not wanted or r.lang in wanted)]
        if not chosen[name]:
            raise RecipeError(f"{path}.{name}: no record with {source} in the languages wanted is left")
    return chosen


def label_of(record: SpeechTextRecord, name: str) -> str | None:
    """What a record is a member of: a field of it, or a further column of its manifest; None where it does not say."""
    value = getattr(record, name) if name in ("lang", "speaker", "kind", "corpus") else record.extra.get(name)
    return None if value is None or value == "" else str(value)


def find_labels(recipe: HeadRecipe, records: dict[str, list[SpeechTextRecord]]) -> list[str]:
    """Names of the classes; none for CTC.

    Raises:
        RecipeError: the training data have fewer than two.
    """
    if recipe.head.kind == "ctc":
        return []
    found = {label_of(record, recipe.head.label) for part in records.values() for record in part} - {None}
    labels = list(recipe.head.labels) or sorted(str(label) for label in found)
    if len(labels) < 2:
        raise RecipeError(f"head.label: a head needs two classes or more; {recipe.head.label!r} gives {labels}")
    return labels


def build_head_dataset(
    recipe: HeadRecipe, records: Sequence[SpeechTextRecord], modality: Modality, labels: Sequence[str], path: str
) -> ExampleDataset:
    """Records with their classes, or their transcripts; others are left out and counted.

    Raises:
        RecipeError: none is left.
    """
    head, known = recipe.head, set(labels)
    examples = []
    for record in records:
        text = record.text if head.kind == "ctc" else label_of(record, head.label)
        if text and (head.kind == "ctc" or text in known):
            examples.append(build_head_example(record, modality, "asr" if head.kind == "ctc" else head.kind, text))
    if len(examples) < len(records):
        left_out = len(records) - len(examples)
        logger.warning(f"{path}: {left_out} of {len(records)} left out: no class, or no transcript")
    if not examples:
        raise RecipeError(f"{path}: no record has one of the classes {', '.join(labels)}, or a transcript")
    cache = AudioCache() if recipe.data.cache_audio else None
    return ExampleDataset(examples, cache=cache, band_limit_hz=recipe.data.band_limit_hz)


def build_head_example(record: SpeechTextRecord, modality: Modality, task: str, text: str) -> Example:
    """A recording or a text with one target: its transcript, or the name of its class."""
    is_speech = modality == "speech"
    return Example(
        id=record.key,
        source_modality=modality,
        source_lang=record.lang,
        targets=(Target(task=task, lang=record.lang, text=text, num_tokens=len(text) + 1),),
        corpus=record.corpus,
        record=record,
        source_text=None if is_speech else record.text,
        duration_seconds=float(record.duration_seconds or 0.0) if is_speech else 0.0,
    )


def build_training_data(recipe: HeadRecipe, records: dict[str, list[SpeechTextRecord]], labels: Sequence[str]) -> Any:
    """All training corpora as one data set, classes balanced by repetition where the recipe wants it.

    Raises:
        RecipeError: corpora of different modalities, or a modality that the head cannot read.
    """
    modalities = {section.modality for section in recipe.data.corpora.values()}
    if len(modalities) != 1:
        raise RecipeError(f"data.corpora: all must have one modality, got {', '.join(sorted(modalities)) or 'none'}")
    (modality,) = modalities
    everything = [record for part in records.values() for record in part]
    dataset = build_head_dataset(recipe, everything, modality, labels, "data.corpora")
    if recipe.head.kind == "ctc" or not recipe.data.balance:
        return dataset
    numbers = {label: number for number, label in enumerate(labels)}
    return Subset(dataset, balance_classes([numbers[example.targets[0].text] for example in dataset.examples]))


def balance_classes(targets: Sequence[Any]) -> list[int]:
    """Positions with repetitions, so that every class has as many items as the largest."""
    largest = max(Counter(targets).values())
    balanced: list[int] = []
    for target in sorted(set(targets)):
        members = [position for position, other in enumerate(targets) if other == target]
        balanced += [members[i % len(members)] for i in range(largest)]
    return balanced


@dataclass(frozen=True)
class HeadData:
    """What a head is trained and tested on.

    Attributes:
        records: of each training corpus.
        tested: of each test corpus.
        labels: names of the classes, none for CTC.
    """

    records: dict[str, list[SpeechTextRecord]]
    tested: dict[str, list[SpeechTextRecord]]
    labels: list[str]


class HeadFinetuningRun(Run):
    """Fine-tuning of a head, with tables and plots of its errors.

    Besides the model, the final folder has `results.json` (`<corpus>_accuracy` and `<corpus>_macro_f1`, or
    `<corpus>_wer` and `<corpus>_cer`, in percent), and of every test corpus of a classifier `confusion_<name>.txt`,
    `.json` and, where matplotlib is installed, `.png`; of CTC `transcripts_<name>.tsv`.
    """

    recipe_class = HeadRecipe
    recipe: HeadRecipe

    def load_data(self) -> HeadData:
        """Records of all corpora, and the classes."""
        records = load_head_records(self.recipe.data.corpora, "data.corpora")
        tested = load_head_records(self.recipe.evaluation.corpora, "evaluation.corpora")
        return HeadData(records, tested, find_labels(self.recipe, records))

    def build_processor(self, data: HeadData) -> Mu2SLAMProcessor:
        """The processor of the encoder, for CTC with the tokenizer that collapses repeats.

        Raises:
            RecipeError: nothing says where it is.
        """
        recipe = self.recipe
        if not (self.checkpoint or recipe.processor.init_from or recipe.model.init_from):
            raise RecipeError("processor.init_from: is required where model.init_from is not given")
        processor = build_processor(recipe, {}, self.checkpoint)
        if recipe.head.kind != "ctc" or isinstance(processor.tokenizer, Mu2SLAMCTCTokenizer):
            return processor
        tokenizer = Mu2SLAMCTCTokenizer.from_tokenizer(processor.tokenizer)
        return Mu2SLAMProcessor(processor.feature_extractor, tokenizer, languages=processor.languages)

    def build_model(self, processor: Mu2SLAMProcessor, data: HeadData) -> Any:
        """The encoder with its head in float32; frozen as far as the recipe says.

        Raises:
            RecipeError: as `build_model_of`, a head that cannot read the data, or fewer layers than are to be trained.
        """
        recipe, section = self.recipe, self.recipe.head
        if section.kind != "sequence_classification":
            for path, corpora in (("data", recipe.data.corpora), ("evaluation", recipe.evaluation.corpora)):
                texts = [name for name, corpus in corpora.items() if corpus.modality == "text"]
                if texts:
                    raise RecipeError(f"{path}.corpora.{texts[0]}.modality: {section.kind} reads speech only")
        overrides = dict(recipe.model.overrides)
        if data.labels:
            overrides["id2label"] = dict(enumerate(data.labels))
            overrides["label2id"] = {label: number for number, label in enumerate(data.labels)}
        with_labels = replace(recipe, model=replace(recipe.model, overrides=overrides))
        model: Any = build_model_of(with_labels, processor, MODEL_CLASSES[section.kind])
        if section.trainable_layers is not None:
            with errors_of("head.trainable_layers"):
                model.freeze_encoder(section.trainable_layers)
            # The table of tokens is part of the encoder, but CTC writes with it.
            if section.kind == "ctc":
                model.ctc_head.requires_grad_(True)
        return model

    def build_collator(self, processor: Mu2SLAMProcessor, model: Any) -> HeadCollator:
        """The collator for the front end and the classes of the model."""
        return build_head_collator(self.recipe, processor, model)

    def build_trainer(self, processor: Mu2SLAMProcessor, model: Any, data: HeadData) -> Any:
        """Transformers' Trainer, with optimiser and schedule of the recipe."""
        recipe = self.recipe
        self.development = {
            name: build_head_dataset(
                recipe, part, recipe.evaluation.corpora[name].modality, data.labels, f"evaluation.corpora.{name}"
            )
            for name, part in data.tested.items()
        }
        train_data = build_training_data(recipe, data.records, data.labels)
        return build_head_trainer(recipe, processor, model, train_data, self.development)

    def train(self, trainer: Any) -> dict[str, float]:
        """Train, test on every corpus of the evaluation, and save everything."""
        if trainer.is_world_process_zero():
            save_recipe(self.recipe, self.recipe.output.dir)
        trainer.train(resume_from_checkpoint=self.checkpoint)
        results: dict[str, float] = {}
        if trainer.is_world_process_zero():
            model, processor = trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class
            results = self.test(model, processor)
            self.save_final(model, processor, results)
        trainer.accelerator.wait_for_everyone()
        return results

    def test(self, model: Any, processor: Mu2SLAMProcessor) -> dict[str, float]:
        """Figures of every test corpus; the reports are kept for `save_more`."""
        collator, batch_size = self.build_collator(processor, model), self.recipe.evaluation.batch_size
        self.reports = {
            name: measure_head(model, processor, dataset, collator, batch_size=batch_size)
            for name, dataset in self.development.items()
        }
        reports = self.reports.items()
        return {f"{name}_{key}": value for name, report in reports for key, value in report.figures.items()}

    def save_more(self, model: Any, processor: Mu2SLAMProcessor, folder: Path) -> None:
        """Tables and plots of the test."""
        for name, report in self.reports.items():
            report.save(name, folder)


def build_head_arguments(recipe: HeadRecipe) -> TrainingArguments:
    """Training arguments of a recipe; it is evaluated during training where it has corpora for that.

    Raises:
        RecipeError: nothing says how many updates there are.
    """
    training, optim = recipe.training, recipe.optim
    if training.max_steps is None:
        raise RecipeError("training.max_steps: is required")
    evaluate = training.eval_steps > 0 and bool(recipe.evaluation.corpora)
    best = recipe.best_figure if training.keep == "best" else None
    tensorboard = training.tensorboard and importlib.util.find_spec("tensorboard") is not None
    return TrainingArguments(
        output_dir=recipe.output.dir,
        max_steps=training.max_steps,
        seed=training.seed,
        per_device_train_batch_size=recipe.data.batch_size,
        per_device_eval_batch_size=recipe.evaluation.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        dataloader_num_workers=training.dataloader_num_workers,
        bf16=training.bf16,
        use_cpu=training.use_cpu or not torch.cuda.is_available(),
        activation_checkpointing=training.activation_checkpointing,
        logging_steps=training.logging_steps,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=training.eval_steps if evaluate else None,
        save_steps=training.save_steps,
        # At a limit of 1 the last checkpoint would go for the best one, and a restart would train again.
        save_total_limit=max(training.save_total_limit, 2) if best else training.save_total_limit,
        load_best_model_at_end=best is not None,
        metric_for_best_model=best,
        greater_is_better=training.greater_is_better if best else None,
        max_grad_norm=optim.max_grad_norm,
        report_to=["tensorboard"] if tensorboard else "none",
        disable_tqdm=not training.progress_bar,
        remove_unused_columns=False,
        label_names=["labels"],
        # Logits of CTC of a whole corpus are large, and nobody reads them.
        prediction_loss_only=recipe.head.kind == "ctc",
    )


def build_head_collator(recipe: HeadRecipe, processor: Mu2SLAMProcessor, model: Any) -> HeadCollator:
    """The collator for the front end of the model, and for a classifier its classes."""
    names = model.config.id2label
    labels = None if recipe.head.kind == "ctc" else [names[number] for number in range(len(names))]
    return HeadCollator(processor, labels=labels, encoder_config=model.config.encoder_config)


def build_head_trainer(
    recipe: HeadRecipe, processor: Mu2SLAMProcessor, model: nn.Module, data: Any, development: dict[str, Any]
) -> Trainer:
    """Transformers' own Trainer, with optimiser and schedule of the recipe.

    Args:
        recipe: the run.
        processor: is saved with the model.
        model: of `build_head_model`.
        data: of `build_training_data`.
        development: name -> data set, evaluated during training.

    Returns:
        a trainer that ends with the weights of the best checkpoint where the recipe says `keep: best`.

    Raises:
        RecipeError: nothing says how many updates there are.
    """
    args, optim = build_head_arguments(recipe), recipe.optim
    optimizer = build_optimizer(
        model,
        learning_rate=optim.learning_rate,
        weight_decay=optim.weight_decay,
        optimizer=optim.optimizer,
        betas=(optim.beta1, optim.beta2),
        eps=optim.epsilon,
    )
    scheduler = build_scheduler(
        optimizer,
        schedule=optim.schedule,
        num_warmup_steps=optim.warmup_steps,
        num_training_steps=args.max_steps,
        min_ratio=optim.min_learning_rate_ratio,
        noam_factor=optim.noam_factor,
        hidden_size=getattr(model.config, "hidden_size", None),
    )
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=data,
        eval_dataset=development or None,
        data_collator=build_head_collator(recipe, processor, model),
        processing_class=processor,
        compute_metrics=None if recipe.head.kind == "ctc" else _accuracy,
        optimizers=(optimizer, scheduler),
        callbacks=[LogFile(), EvaluateAtEnd()],
    )
    use_own_console(trainer)
    return trainer


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Percent of right classes."""
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    return {"accuracy": 100.0 * float(np.mean(logits.argmax(axis=-1) == prediction.label_ids))}
